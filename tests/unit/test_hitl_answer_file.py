"""Files of an answer: whose they are, which the input allows, and what they become."""

import pytest

from hitl.answer_file import FileFacts, NoFiles, name_in_url, remote_addresses, resolve_file
from hitl.errors import InvalidSubmissionError

ANY = {"type": "file", "output_variable_name": "report"}
WHERE = "file input 'report'"
KEYS = {
    "dify_model_identity", "id", "type", "transfer_method", "remote_url", "reference", "filename", "extension",
    "mime_type", "size", "related_id", "url",
}  # fmt: skip


class Owned:
    """A submitter's files: uploads and looked-up addresses by id and url."""

    def __init__(self, uploads=None, remotes=None):
        self.uploads = uploads or {}
        self.remotes = remotes or {}

    def uploaded(self, upload_file_id):
        """Return the upload of this id, if it is the submitter's."""
        return self.uploads.get(upload_file_id)

    def remote(self, url):
        """Return what was learned at ``url``."""
        return self.remotes.get(url)


def local(file_id="f1", **more):
    """Return the mapping of an uploaded file."""
    return {"transfer_method": "local_file", "upload_file_id": file_id, **more}


def remote(url="https://example.com/a/report.pdf", **more):
    """Return the mapping of a remote file."""
    return {"transfer_method": "remote_url", "url": url, **more}


def owning(filename, mime_type=None):
    """Return a submitter who owns the upload ``f1`` with these facts."""
    return Owned({"f1": FileFacts(filename, mime_type, 7, "https://files.example/f1")})


def refusal(value, declared=ANY, files=None):
    """Return why the file is refused, without the part that names the input."""
    with pytest.raises(InvalidSubmissionError) as caught:
        resolve_file(value, declared, files or owning("report.pdf"), WHERE)
    message = str(caught.value)
    assert message.startswith("Invalid value for file input 'report': ")
    return message.removeprefix("Invalid value for file input 'report': ")


def test_uploaded_file_becomes_a_file_object_of_known_facts():
    """What stands in the object is what is known of the upload, not what the mapping claims."""
    claims = local(filename="other.exe", size=1, url="https://evil.example/x", mime_type="text/html")
    found = resolve_file(claims, ANY, owning("Report.PDF", "application/pdf"), WHERE)
    assert found == {
        "dify_model_identity": "__dify__file__",
        "id": None,
        "type": "document",
        "transfer_method": "local_file",
        "remote_url": None,
        "reference": "f1",
        "filename": "Report.PDF",
        "extension": ".pdf",
        "mime_type": "application/pdf",
        "size": 7,
        "related_id": "f1",
        "url": "https://files.example/f1",
    }


def test_remote_file_becomes_a_file_object():
    """A remote file is known by its address, and by name and type where it was looked up."""
    url = "https://example.com/download?id=3"
    files = Owned(remotes={url: FileFacts("photo.png", "image/png", 99)})
    found = resolve_file(remote(url), ANY, files, WHERE)
    assert set(found) == KEYS
    assert (found["type"], found["filename"], found["size"]) == ("image", "photo.png", 99)
    assert found["url"] == found["remote_url"] == url
    assert found["related_id"] is None


def test_remote_file_that_was_not_looked_at_is_refused():
    """Whoever takes answers reaches nothing outside: without what was learned beforehand there is no such file."""
    assert refusal(remote(), files=NoFiles()) == "the file at this address was not looked at"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/my%20report.pdf?x=1", "my report.pdf"),
        ("http://example.com", ""),
        ("ftp://example.com/a.pdf", None),
        ("https://", None),
        ("http://[::1", None),
        ("report.pdf", None),
    ],
)
def test_address_names_its_file(url, name):
    """The last part of the path names the file; what is no address of the web names none."""
    assert name_in_url(url) == name


def test_addresses_of_an_answer_are_found_where_files_are_asked_for():
    """Files and lists of files are looked through; text that looks like one, and uploads, are left alone."""
    several = {"type": "file-list", "output_variable_name": "more"}
    text = {"type": "paragraph", "output_variable_name": "text"}
    answer = {"report": remote("u1"), "more": [remote("u2"), local(), 5, remote("", remote_url="u3"), remote(None)]}
    assert remote_addresses([ANY, several, text], answer | {"text": remote("u4"), "other": remote("u5")}) == [
        ("file input 'report'", "u1"), ("file list input 'more'", "u2"), ("file list input 'more'", "u3"),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, "f1", 1, [], [local()]])
def test_file_must_be_a_mapping(value):
    """A file is named by a mapping."""
    assert refusal(value) == "must be a file mapping"


@pytest.mark.parametrize("method", [None, "", "tool_file", "datasource_file", "LOCAL_FILE", 1, ["local_file"]])
def test_file_must_be_local_or_remote(method):
    """Only uploads and addresses can be submitted; files of tools and data sources belong to runs."""
    assert refusal(local() | {"transfer_method": method}) == "transfer_method must be local_file or remote_url"


@pytest.mark.parametrize("value", [local(""), local(None), local(3), {"transfer_method": "local_file"}])
def test_uploaded_file_needs_its_id(value):
    """An empty id counts as absent."""
    assert refusal(value) == "upload_file_id is missing"


def test_uploaded_file_of_somebody_else_is_refused_like_one_that_is_not_there():
    """Only the submitter's own uploads can be attached, and the text does not tell whether another's exists."""
    assert refusal(local("theirs")) == "no such uploaded file"
    assert refusal(local("f1"), files=NoFiles()) == "no such uploaded file"


def test_front_end_mapping_with_empty_other_key_is_accepted():
    """Front ends send both keys; the empty one counts as absent."""
    assert resolve_file(local(url=""), ANY, owning("a.pdf"), WHERE)["related_id"] == "f1"
    value = remote(upload_file_id="")
    looked_at = Owned(remotes={value["url"]: FileFacts("report.pdf")})
    assert resolve_file(value, ANY, looked_at, WHERE)["related_id"] is None


def test_remote_file_may_be_named_by_its_other_key():
    """The address may stand under ``remote_url``, also beside an empty ``url``."""
    value = {"transfer_method": "remote_url", "url": "", "remote_url": "http://example.com/a.pdf"}
    looked_at = Owned(remotes={value["remote_url"]: FileFacts("a.pdf")})
    assert resolve_file(value, ANY, looked_at, WHERE)["url"] == "http://example.com/a.pdf"


@pytest.mark.parametrize("value", [{"transfer_method": "remote_url"}, remote(""), remote(None), remote(5)])
def test_remote_file_needs_its_address(value):
    """An empty address counts as absent."""
    assert refusal(value) == "url is missing"


@pytest.mark.parametrize(
    "url", ["ftp://example.com/a.pdf", "file:///etc/passwd", "javascript:alert(1)", "a.pdf", "http://", "http://[x/a"]
)
def test_remote_file_must_be_an_http_address(url):
    """Only http and https addresses with a host are files."""
    assert refusal(remote(url)) == "url must be an http or https address"


@pytest.mark.parametrize(
    ("value", "allowed", "message"),
    [
        (local(), ["remote_url"], "transfer_method local_file is not allowed"),
        (remote(), ["local_file"], "transfer_method remote_url is not allowed"),
    ],
)
def test_file_must_come_in_an_allowed_way(value, allowed, message):
    """The input's list of upload methods is binding."""
    assert refusal(value, {**ANY, "allowed_file_upload_methods": allowed}) == message


@pytest.mark.parametrize("allowed", [None, [], ["local_file"], ["local_file", "remote_url"]])
def test_file_may_come_in_any_way_unless_listed(allowed):
    """Without a list every upload method is allowed."""
    resolve_file(local(), {**ANY, "allowed_file_upload_methods": allowed}, owning("a.pdf"), WHERE)


@pytest.mark.parametrize(
    ("filename", "mime_type", "claimed", "file_type"),
    [
        ("a.png", None, None, "image"),
        ("a.PNG", "application/octet-stream", "image", "image"),
        ("a.mp3", None, "document", "audio"),
        ("a.mp4", None, None, "video"),
        ("a.docx", None, "", "document"),
        ("a.bin", "image/x-raw", None, "image"),
        ("a.log", "text/plain", None, "document"),
        ("a.bin", None, "document", "custom"),
        ("a.bin", "application/octet-stream", "document", "custom"),
        ("noname", None, "image", "image"),
        ("noname", None, None, "custom"),
        ("noname", "audio/ogg", "image", "audio"),
    ],
)
def test_file_type_is_what_the_file_is(filename, mime_type, claimed, file_type):
    """Extension, then media type decide; the submitter's word counts only where neither says anything."""
    assert resolve_file(local(type=claimed), ANY, owning(filename, mime_type), WHERE)["type"] == file_type


@pytest.mark.parametrize("claimed", ["archive", 5, ["image"], {"type": "image"}])
def test_file_type_must_be_a_known_one(claimed):
    """A type outside the five is a mistake of the caller."""
    assert refusal(local(type=claimed)) == "type must be image, document, audio, video or custom"


def allowing(*kinds, extensions=()):
    """Return an input that allows these types and extensions."""
    return {**ANY, "allowed_file_types": list(kinds), "allowed_file_extensions": list(extensions)}


@pytest.mark.parametrize(
    ("filename", "declared"),
    [
        ("a.png", allowing("document")),
        ("a.exe", allowing("image", "document")),
        ("noname", allowing("image")),
    ],
)
def test_file_of_another_type_is_refused(filename, declared):
    """The input's list of types is binding, whatever the mapping claims."""
    assert refusal(local(), declared, owning(filename)).startswith("file type ")


def test_claimed_type_does_not_open_the_list():
    """Calling a program a document does not make it one."""
    message = refusal(local(type="document"), allowing("document"), owning("a.exe"))
    assert message == "file type custom is not allowed"


@pytest.mark.parametrize(
    ("filename", "extensions", "is_allowed"),
    [
        ("a.psd", [".psd"], True),
        ("a.PSD", ["psd"], True),
        ("a.psd", [".PSD"], True),
        ("a.pdf", [".pdf"], True),
        ("a.psd", [".pdf"], False),
        ("a.tar.gz", [".tar"], False),
        ("noname", [".psd"], False),
        ("a.psd", [], False),
    ],
)
def test_custom_files_need_a_listed_extension(filename, extensions, is_allowed):
    """Custom covers every kind of file, but only with one of the listed extensions, in any case."""
    declared = allowing("custom", extensions=extensions)
    if is_allowed:
        assert resolve_file(local(type="custom"), declared, owning(filename), WHERE)["type"] == "custom"
    else:
        assert refusal(local(), declared, owning(filename)).startswith("file extension ")


def test_listed_type_needs_no_extension_beside_custom():
    """Where images are allowed too, an image passes whatever extensions custom lists."""
    declared = allowing("image", "custom", extensions=[".psd"])
    assert resolve_file(local(), declared, owning("a.png"), WHERE)["type"] == "image"
