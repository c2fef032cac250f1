"""What strangers try with forms: tokens where they do not belong, markup, scanners, and bodies of all kinds."""

import asyncio
import itertools
import random
from collections.abc import Iterable
from typing import Any

import httpx2
import pytest

from approval import RUN, approval, with_mail
from form_links import guard_of, link_of, newest, opened, sent, token_of, token_to
from hitl.form_token import Purpose, hash_token
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface
from page_reader import elements_of
from store.form_record import TokenRow
from surface_world import World, make_world
from surfaces.form_limits import FormLimits

PDF = b"%PDF-1.7\n%..."
FILE = {"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}
COMMENT = {"type": "paragraph", "output_variable_name": "comment"}
ANSWER = {"inputs": {"comment": "x"}, "action": "approve"}
NO_LIMITS = FormLimits(count=1_000_000, global_count=1_000_000)
FORM = "/api/form/human_input"
FILES = "/api/human-input-forms/files"

OPENS = {
    "service api": {(RecipientType.STANDALONE_WEB_APP, Surface.SERVICE_API, Purpose.SUBMIT)},
    "public": set(
        itertools.product(
            (RecipientType.STANDALONE_WEB_APP, RecipientType.EMAIL_MEMBER, RecipientType.EMAIL_EXTERNAL),
            (Surface.WEB, Surface.SERVICE_API, Surface.OPENAPI, Surface.MCP),
            (Purpose.SUBMIT,),
        )
    ),
}
"""What each kind of endpoint must open, written out: recipient, surface that the token was minted for, purpose."""


async def world_with_every_token() -> tuple[World, dict[tuple[RecipientType, Surface, Purpose], str]]:
    """Return a form with a recipient of each type, and a token of each for every surface and purpose, minted or not."""
    world = await make_world(approval(inputs=[COMMENT, FILE]), form_limits=NO_LIMITS)
    await link_of(world)
    form_id = newest(world, RecipientType.STANDALONE_WEB_APP).form_id
    tokens = {}
    for number, kind in enumerate(RecipientType):
        recipient = Recipient(f"00000000-0000-7000-9000-{number:012d}", form_id, kind)
        world.store.recipients[recipient.recipient_id] = recipient
        for surface, purpose in itertools.product(Surface, Purpose):
            token = token_to(recipient, surface, purpose)
            row = TokenRow(hash_token(token), recipient.recipient_id, surface, purpose, 1)
            world.store.tokens[row.token_hash] = row
            tokens[kind, surface, purpose] = token
    return world, tokens


async def test_every_token_opens_what_it_is_for_and_nothing_else() -> None:
    """Recipient x surface x purpose at every endpoint that takes a token: the table, and one answer to all the rest."""
    world, tokens = await world_with_every_token()
    uploads = {(kind, surface, Purpose.UPLOAD) for kind, surface, _ in OPENS["public"]}
    async with world.client() as keyed, world.client("") as client:
        for name, token in tokens.items():
            bearer = {"Authorization": f"Bearer hitl_upload_{token}"}
            by_key = await keyed.get(f"/v1/form/human_input/{token}")
            shown = await client.get(f"{FORM}/{token}")
            asked = await client.post(f"{FORM}/{token}/upload-token")
            page = await client.get(f"/form/{token}")
            file = await client.post(FILES, headers=bearer, files={"file": ("r.pdf", PDF, "")})
            assert by_key.status_code == (200 if name in OPENS["service api"] else 404), name
            assert [shown.status_code, asked.status_code] == [200 if name in OPENS["public"] else 404] * 2, name
            assert page.status_code == (303 if name in OPENS["public"] else 404), name
            assert file.status_code == (201 if name in uploads else 403), name
        # Answers last, and wrong ones, so that the form stays open for the next.
        for name, token in tokens.items():
            wrong = {**ANSWER, "action": "none"}
            answered = await client.post(f"{FORM}/{token}", json=wrong)
            by_key = await keyed.post(f"/v1/form/human_input/{token}", json={**wrong, "user": "u"})
            assert answered.status_code == (400 if name in OPENS["public"] else 404), name
            assert by_key.status_code == (400 if name in OPENS["service api"] else 404), name


async def test_every_kind_of_miss_is_one_answer() -> None:
    """Unknown, malformed, console, upload, revoked and re-issued tokens: one status, one body, the same headers."""
    world, tokens = await world_with_every_token()
    revoked, stale = await token_of(world), ""
    await world.hitl.forms.revoke(newest(world, RecipientType.STANDALONE_WEB_APP).recipient_id, 1.0)
    stale = await token_of(world)
    await world.hitl.forms.reissue(newest(world, RecipientType.STANDALONE_WEB_APP).recipient_id, [], 1.0)
    misses = [
        "A" * 43, "x", "A" * 42, "A" * 44, "%00", "%F0%9F%98%80", "A" * 5000, revoked, stale, revoked[:-1] + "0",
        tokens[RecipientType.BACKSTAGE, Surface.CONSOLE, Purpose.SUBMIT],
        tokens[RecipientType.CONSOLE, Surface.CONSOLE, Purpose.SUBMIT],
        tokens[RecipientType.STANDALONE_WEB_APP, Surface.WEB, Purpose.UPLOAD],
    ]  # fmt: skip
    async with world.client("") as client:

        async def answers_of(make: Any) -> set[tuple[int, str, str]]:
            found = [await make(miss) for miss in misses]
            return {(each.status_code, each.text, str(sorted(each.headers.items()))) for each in found}

        kinds = [
            await answers_of(lambda miss: client.get(f"{FORM}/{miss}")),
            await answers_of(lambda miss: client.post(f"{FORM}/{miss}", json=ANSWER)),
            await answers_of(lambda miss: client.post(f"{FORM}/{miss}/upload-token")),
            await answers_of(lambda miss: client.get(f"/form/{miss}")),
            await answers_of(lambda miss: client.head(f"/form/{miss}")),
        ]
        bearers = [f"Bearer hitl_upload_{miss}" for miss in (*misses[:-1], token_to(newest_web(world)))]
        kinds.append(
            {
                (each.status_code, each.text, str(sorted(each.headers.items())))
                for each in [await client.post(FILES, headers={"Authorization": bearer}) for bearer in bearers]
            }
        )
    assert [len(kind) for kind in kinds] == [1] * 6
    assert [next(iter(kind))[0] for kind in kinds] == [404, 404, 404, 404, 404, 403]


def newest_web(world: World) -> Recipient:
    """Return the newest recipient of a web app."""
    return newest(world, RecipientType.STANDALONE_WEB_APP)


async def test_scanners_decide_nothing() -> None:
    """Whatever a mail scanner or a link preview tries on every address, the form stays open."""
    world = await make_world(approval(), form_limits=NO_LIMITS)
    link = await link_of(world)
    token = link.rpartition("/")[2]
    async with world.client("") as client:
        address, _ = await opened(client, link)
        query = "?action=approve&input.comment=x&inputs=%7B%7D"
        statuses = set()
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"):
            for path in (link, address, f"{FORM}/{token}", f"/v1/form/human_input/{token}"):
                reply = await client.request(method, path + query)
                statuses.add(reply.status_code)
        for path in (link, f"{link}/approve", f"{address}/approve"):
            statuses.add((await client.post(path + query, data={"action": "approve"})).status_code)
    assert {form.status for form in world.store.forms.values()} == {"waiting"}
    assert {entry.event for entry in world.store.audit} == {"opened"}
    assert statuses <= {200, 303, 401, 404, 405}


TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "p", "h1", "time", "div", "strong", "ul", "li", "a",
    "form", "input", "span", "label", "textarea", "select", "option", "button",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "class", "datetime", "role", "href", "method", "action", "enctype", "type",
    "value", "id", "for", "rows", "required", "selected", "autofocus", "accept", "checked", "aria-invalid",
    "aria-describedby", "aria-labelledby", "rel", "placeholder",
}  # fmt: skip
NASTY = (
    "</textarea></title></style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "[x](javascript:alert(1)) ![x](https://evil.example/x.png) <https://evil.example>",
    "{{ 7*7 }} {% raw %} {{#$output.comment#}}",
    "<form action=https://evil.example><input name=guard>",
    "\u202e\u0000<svg/onload=alert(1)>",
)


@pytest.mark.parametrize("nasty", NASTY)
async def test_nothing_that_people_write_is_markup(nasty: str) -> None:
    """Content, title, defaults, options, names of actions, answers and file names are text wherever they are shown."""
    inputs = [
        {**COMMENT, "default": {"type": "constant", "selector": [], "value": nasty}},
        {"type": "select", "output_variable_name": "tone",
         "option_source": {"type": "constant", "selector": [], "value": [nasty, "b"]}},
        FILE,
    ]  # fmt: skip
    document = approval(title=nasty, content=f"{nasty}\n\n{{{{#start1.topic#}}}}", inputs=inputs)
    document["app"]["name"] = nasty
    actions = next(each["data"] for each in document["workflow"]["graph"]["nodes"] if each["id"] == "hi1")
    actions["user_actions"][0]["title"] = nasty[:100]
    world = await make_world(document, form_limits=NO_LIMITS)
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        fields = {"guard": guard_of(page), "action": nasty, "input.comment": nasty, "input.tone": nasty + "x"}
        again = await client.post(address, data=fields, files={"file.report": (nasty + ".txt", b"x", "")})
    assert again.status_code == 400
    for shown in (page, again):
        elements = elements_of(shown.text)
        assert {tag for tag, _ in elements} <= TAGS
        assert {name for _, attributes in elements for name in attributes} <= ATTRIBUTES
        assert [attributes["action"] for tag, attributes in elements if tag == "form"] == [address]
        links = {attributes["href"] for tag, attributes in elements if tag == "a"}
        assert all(link.startswith(("#", "https://")) for link in links), links
        assert [attributes.get("name") for tag, attributes in elements if tag == "input"].count("guard") == 1


async def test_every_page_is_strict() -> None:
    """Whatever is answered under ``/form`` may not be framed, cached or scripted, and tells no referrer."""
    world = await make_world(approval(inputs=[FILE]), form_limits=FormLimits(count=6))
    link, done = await link_of(world), await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        form = {"guard": guard_of(page), "action": "approve"}
        done_address, done_page = await opened(client, done)
        file = {"file.report": ("r.pdf", PDF, "")}
        answers = [
            await client.get(link),
            page,
            await client.post(address, data=form),
            await client.post(address, data={"action": "approve"}),
            await client.post(address, json={}),
            await client.post(done_address, data={**form, "guard": guard_of(done_page)}, files=file),
            await client.get(done_address),
            await client.get("/form/unknown"),
            await client.get("/form/f/unknown"),
            await client.get(link),
            await client.get(link),
            await client.get(link),
            await client.get(link),
            await client.get(link),
        ]
    assert {each.status_code for each in answers} == {200, 303, 400, 403, 404, 412, 415, 429}
    for each in answers:
        headers = each.headers
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "script-src" not in policy


def pieces(rng: random.Random) -> bytes:
    """Return a body made of what such bodies are made of, in any order."""
    parts = (
        b"{", b"}", b"[", b"]", b'"inputs"', b'"action"', b":", b",", b'"approve"', b"null", b"1e999", b'"\\ud800"',
        b"\xff", b"guard=", b"&", b"input.comment=", b"%00", b"%FF", b"action=approve", b"kept.report=", b"--b\r\n",
        b"--b--\r\n",
        b'Content-Disposition: form-data; name="file.report"; filename="a.pdf"\r\n\r\n', b"\r\n", b"\r\n\r\n", b"%PDF-",
        b'Content-Disposition: form-data; name="guard"\r\n\r\n', b'Content-Disposition: form-data; name="url"\r\n\r\n',
        b"Content-Type: text/plain; charset=utf-16\r\n", b"Content-Transfer-Encoding: base64\r\n", b"\x00", b"a" * 300,
        b'Content-Disposition: form-data; name="file"; filename="\xed\xa0\x80.pdf"\r\n\r\n', rng.randbytes(20),
        b'{"inputs":{"comment":"x","report":{"transfer_method":"local_file","upload_file_id":"\\u0000"}},"action":"x"}',
        b'{"inputs":{"report":[{}],"comment":[]},"action":"approve"}', b"[" * 500,
    )  # fmt: skip
    return b"".join(rng.choice(parts) for _ in range(rng.randrange(0, 12)))


TYPES = (
    "application/json", "application/x+json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
    "multipart/form-data", "multipart/form-data; boundary=b; charset=unicode_escape", "text/plain", "",
    "application/json; charset=utf-16", "multipart/form-data; boundary=" + "x" * 300,
    "application/x-www-form-urlencoded;;=",
)  # fmt: skip


def requests_of(rng: random.Random, paths: Iterable[str], count: int) -> Iterable[tuple[str, dict[str, str], bytes]]:
    """Yield ``count`` random requests for each path."""
    for path in paths:
        for _ in range(count):
            headers = {"Content-Type": rng.choice(TYPES)}
            if rng.random() < 0.2:
                headers["Idempotency-Key"] = "1"
            yield path, headers, pieces(rng)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
async def test_no_body_breaks_an_endpoint(count: int) -> None:
    """Random bodies of every type get a refusal or an answer, never a fault of ours, and decide nothing by chance."""
    world = await make_world(approval(inputs=[COMMENT, FILE]), form_limits=NO_LIMITS)
    link = await link_of(world)
    token = link.rpartition("/")[2]
    upload = token_to(newest_web(world), Surface.WEB, Purpose.UPLOAD)
    rng = random.Random(count)
    seen: dict[int, int] = {}
    async with world.client("") as client:
        address, page = await opened(client, link)
        client.headers["Authorization"] = f"Bearer hitl_upload_{upload}"
        paths = (
            address,
            f"{FORM}/{token}",
            f"{FORM}/{token}/upload-token",
            FILES,
            f"{FORM}/unknown",
            "/form/f/unknown",
        )
        for path, headers, body in requests_of(rng, paths, count):
            if path == address and rng.random() < 0.5:
                body = b"guard=" + guard_of(page).encode() + b"&" + body
            reply = await client.post(path, headers=headers, content=body)
            seen[reply.status_code] = seen.get(reply.status_code, 0) + 1
            assert reply.status_code < 500, (path, headers, body)
    assert {400, 404, 415} <= set(seen), seen
    assert {form.status for form in world.store.forms.values()} == {"waiting"}


async def test_answers_at_once_have_one_winner() -> None:
    """Of answers by page and API that race, one is taken; the others hear that it was."""
    world = await make_world(with_mail(approval()), form_limits=NO_LIMITS)
    link = await link_of(world)
    mail = token_to(newest(world, RecipientType.EMAIL_EXTERNAL))
    async with world.client("") as client, world.client() as keyed:
        async with world.client("") as browser:
            answers = await asyncio.gather(
                sent(browser, link, **{"action": "approve", "input.comment": "page"}),
                client.post(f"{FORM}/{link.rpartition('/')[2]}", json=ANSWER),
                client.post(f"{FORM}/{mail}", json={**ANSWER, "action": "reject"}),
                keyed.post(
                    f"/v1/form/human_input/{token_to(newest_web(world), Surface.SERVICE_API)}",
                    json={**ANSWER, "user": RUN["user"]},
                ),
                return_exceptions=True,
            )
    statuses = sorted(each.status_code for each in answers if isinstance(each, httpx2.Response))
    assert len(world.store.answers) == 1
    assert statuses.count(200) == 1 and set(statuses) <= {200, 412}
