"""Links to files: what they open, for how long, and how they are kept fresh."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hitl.form_token import TokenKey
from surfaces.file_links import FileLinks

FILE = "0198c0de-0000-7000-8000-000000000001"
BASE = "https://green.test/room"


class SetClock:
    """Stands at ``at``."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        """Return the time that was set."""
        return self.at


def links(at: float = 1000.0, key: bytes = b"k" * 32) -> FileLinks:
    """Return the links of an installation at a time."""
    return FileLinks(TokenKey(key), f"{BASE}/", SetClock(at), 300.0)


def opens(link: str, at: float = 1000.0, app: str = "app", file_id: str = FILE, **changes: str) -> bool:
    """Whether ``link``, with ``changes`` of its query, opens a file."""
    query = {**dict(parse_qsl(urlsplit(link).query)), **changes}
    return links(at).is_valid(app, file_id, query["timestamp"], query["nonce"], query["sign"])


def test_link_has_the_known_shape():
    """Address, seconds, 32 hex digits and a URL-safe base64 signature."""
    parts = urlsplit(links().link("app", FILE))
    query = dict(parse_qsl(parts.query))
    assert (
        f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{BASE}/files/{FILE}/file-preview" == links().address(FILE)
    )
    assert list(query) == ["timestamp", "nonce", "sign"]
    assert (query["timestamp"], len(query["nonce"]), len(query["sign"])) == ("1000", 32, 44)


def test_link_opens_its_file_for_a_while():
    """A link ages, and opens nothing before its time."""
    link = links().link("app", FILE)
    assert opens(link) and opens(link, 1300.0)
    assert not opens(link, 1301.0) and not opens(link, 990.0)


def test_link_opens_nothing_else():
    """Another file, another app, another key or any change of the query does not fit the signature."""
    link = links().link("app", FILE)
    assert not opens(link, file_id=FILE[:-1] + "2")
    assert not opens(link, app="other")
    assert not opens(links(key=b"x" * 32).link("app", FILE))
    for change in ({"timestamp": "1001"}, {"nonce": "0" * 32}, {"sign": "ü"}, {"sign": ""}, {"timestamp": "x"}):
        assert not opens(link, **change)


def test_values_get_fresh_links():
    """Wherever an address of a file stands in a value, signed or not, it goes out signed now."""
    old = links(10.0).link("app", FILE)
    value: dict[str, Any] = {
        "a": [{"url": old}, 1, None],
        "text": f"see [x]({links().address(FILE)}) and {BASE}/files/x/file-preview",
    }
    fresh = links().refreshed(value, "app")
    assert opens(fresh["a"][0]["url"]) and fresh["a"][1:] == [1, None]
    inside = fresh["text"].partition("(")[2].partition(")")[0]
    assert opens(inside) and fresh["text"].endswith(f"and {BASE}/files/x/file-preview")
    assert value["a"][0]["url"] == old
    assert links().unsigned(fresh) == links().unsigned(value)


def test_event_without_links_is_written_once():
    """An event that names no file is not looked through."""
    written: list[dict] = []

    def write(event: dict) -> bytes:
        written.append(event)
        return repr(event).encode()

    assert links().refreshed_frame({"a": "x"}, "app", write) == b"{'a': 'x'}" and len(written) == 1
    assert b"sign=" in links().refreshed_frame({"a": links().address(FILE)}, "app", write)
