"""The public form page, as a browser without scripts meets it."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import pytest

import factories as f
from actors.form_opening import delivery_test_form, new_form, new_recipients, token_rows
from actors.messages import DeliveryTestOrder
from approval import RUN, approval
from form_links import guard_of, link_of, opened, sent, token_for
from hitl.form import FormStatus
from hitl.form_preview import request_of_node
from hitl.recipient import RecipientType
from hitl.surface import Surface
from surface_world import KEY, World, make_world

MAIL_TO_ANN = {
    "id": "m",
    "type": "email",
    "config": {"recipients": {"items": [{"type": "external", "email": "ann@x.example"}]}, "subject": "S", "body": "B"},
}
APPROVAL_BY_MAIL = f.document([f.start(), f.human()], [])
APPROVAL_BY_MAIL["workflow"]["graph"]["nodes"][1]["data"]["delivery_methods"].append(MAIL_TO_ANN)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


APPROVE = {"action": "approve", "input.comment": "fine"}


async def test_link_leads_to_an_address_without_the_token(world: World) -> None:
    """The first request sets a cookie for the form's own address only and sends the browser there."""
    link = await link_of(world)
    async with world.client("") as client:
        response = await client.get(link, headers={"Host": "evil.example"})
    address = response.headers["location"]
    token = link.rpartition("/")[2]
    assert re.fullmatch(r"/form/f/[0-9a-f]{64}", address)
    assert response.headers["set-cookie"] == f"greenroom_form={token}; HttpOnly; Path={address}; SameSite=lax"
    assert response.headers["cache-control"] == "no-store"


async def test_cookie_is_secure_behind_https_and_a_path() -> None:
    """Where people come by HTTPS the cookie is Secure, and addresses carry the configured path."""
    world = await make_world(approval(), public_url="https://example.org/green")
    link = await link_of(world)
    async with world.client("") as client:
        response = await client.get(link)
    assert response.headers["location"].startswith("/green/form/f/")
    assert response.headers["set-cookie"].endswith("SameSite=lax; Secure")


async def test_page_shows_the_form(world: World) -> None:
    """The page holds the content, the field at its place, and a button for each action."""
    link = await link_of(world)
    async with world.client("") as client:
        _, page = await opened(client, link)
    assert page.status_code == 200
    assert "<p>Write about tea?</p>" in page.text
    assert '<time datetime="2026-06-10T22:13Z">10 June 2026, 22:13 UTC</time> (36 hours left)' in page.text
    assert '<p class="app">test</p>' in page.text
    assert '<textarea id="field-1" name="input.comment"' in page.text
    assert '<label for="field-1">Comment</label>' in page.text
    assert re.findall(r'name="action" value="(\w+)"', page.text) == ["approve", "reject"]
    assert link.rpartition("/")[2] not in page.text


async def test_page_has_strict_headers(world: World) -> None:
    """Nothing may be loaded, framed, cached or told to others; the style is allowed by its hash."""
    link = await link_of(world)
    async with world.client("") as client:
        _, page = await opened(client, link)
    policy = page.headers["content-security-policy"]
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in page.text


async def test_answer_resumes_the_run(world: World) -> None:
    """Sending the page answers the form; nobody but the recipient is recorded."""
    link = await link_of(world)
    async with world.client("") as client:
        done = await sent(client, link, **{**APPROVE, "input.comment": "one\r\ntwo"})
    await world.runs.settle()
    (run,) = world.store.runs.values()
    entry = world.store.audit[-1]
    assert (done.status_code, "Thank you" in done.text) == (200, True)
    assert (run.status, run.outputs) == ("succeeded", {"answer": "one\ntwo"})
    assert (entry.via, entry.account_id, entry.end_user_id) == ("web", None, None)
    assert entry.recipient_id is not None


@pytest.mark.parametrize("surface", [Surface.SERVICE_API, Surface.OPENAPI, Surface.WEB])
async def test_tokens_of_token_surfaces_open_the_page(world: World, surface: Surface) -> None:
    """Who got a token through an API can pass it on as a link."""
    link = await link_of(world, surface)
    async with world.client("") as client:
        _, page = await opened(client, link)
    assert page.status_code == 200


async def test_reading_decides_nothing(world: World) -> None:
    """However often a link is opened, also by scanners, the form stays open."""
    link = await link_of(world)
    async with world.client("") as client:
        for method in ("GET", "HEAD", "GET"):
            assert (await client.request(method, link)).status_code == 303
        address, _ = await opened(client, link)
        assert (await client.get(f"{address}?action=approve&input.comment=x")).status_code == 200
    assert {form.status for form in world.store.forms.values()} == {"waiting"}


async def test_every_kind_of_miss_looks_the_same(world: World) -> None:
    """Unknown, console and revoked tokens, a missing cookie, and another form's cookie get one and the same page."""
    link, other = await link_of(world), await link_of(world)
    console = token_for(world, RecipientType.BACKSTAGE, Surface.CONSOLE)
    async with world.client("") as client:
        address, _ = await opened(client, link)
        other_address, _ = await opened(client, other)
        cookie = {"Cookie": f"greenroom_form={link.rpartition('/')[2]}"}
        client.cookies.clear()
        misses = [
            await client.get("/form/" + "A" * 43),
            await client.get("/form/x"),
            await client.get(f"/form/{console}"),
            await client.get(address),
            await client.post(address, data=APPROVE),
            await client.get(other_address, headers=cookie),
            await client.get("/form/f/zz", headers=cookie),
        ]
    assert [miss.status_code for miss in misses] == [404] * len(misses)
    assert len({miss.text for miss in misses}) == 1
    assert "set-cookie" not in misses[0].headers


@pytest.mark.parametrize("guard", [None, "", "0" * 64, "é"])
async def test_answer_from_elsewhere_is_refused(world: World, guard: str | None) -> None:
    """Without the guard of this form's page nothing is submitted, cookie or not."""
    link = await link_of(world)
    async with world.client("") as client:
        address, _ = await opened(client, link)
        response = await client.post(address, data=APPROVE if guard is None else {**APPROVE, "guard": guard})
    assert response.status_code == 403
    assert {form.status for form in world.store.forms.values()} == {"waiting"}


async def test_guard_of_another_form_is_refused(world: World) -> None:
    """A guard is bound to its form."""
    link, other = await link_of(world), await link_of(world)
    async with world.client("") as client:
        _, other_page = await opened(client, other)
        address, _ = await opened(client, link)
        response = await client.post(address, data={**APPROVE, "guard": guard_of(other_page)})
    assert response.status_code == 403


async def test_answered_and_expired_forms_say_so(world: World) -> None:
    """A form that is over is a friendly 412, for reading and for sending."""
    link, late = await link_of(world), await link_of(world)
    async with world.client("") as client:
        await sent(client, link, **APPROVE)
        _, again = await opened(client, link)
        address, page = await opened(client, late)
        world.clock.at += 10 * 86_400
        expired = await client.post(address, data={**APPROVE, "guard": guard_of(page)})
    assert (again.status_code, "has its answer" in again.text) == (412, True)
    assert (expired.status_code, "time for this form is over" in expired.text) == (412, True)


SELECT = {
    "type": "select",
    "output_variable_name": "tone",
    "option_source": {"type": "constant", "selector": [], "value": ["dry", "<b>warm</b>"]},
}
COMMENT = {
    "type": "paragraph",
    "output_variable_name": "comment",
    "default": {"type": "constant", "selector": [], "value": "</textarea><script>x</script>"},
}


async def test_answer_that_does_not_fit_is_shown_again() -> None:
    """A refused answer comes back with the reason and everything that was entered, escaped."""
    world = await make_world(approval(inputs=[COMMENT, SELECT]))
    link = await link_of(world)
    fields = {"action": "approve", "input.comment": 'my "text" </textarea><script>alert(1)</script>'}
    async with world.client("") as client:
        bad = await sent(client, link, **fields, **{"input.tone": "loud"})
        good = await client.post(
            f"{bad.url.path}", data={**fields, "guard": guard_of(bad), "input.tone": "<b>warm</b>"}
        )
    assert bad.status_code == 400
    assert "Invalid value for select input &#39;tone&#39;" in bad.text
    assert "<title>Not sent: Review</title>" in bad.text
    assert re.search(r'id="field-2"[^>]* aria-invalid="true" aria-describedby="field-2-fault"', bad.text)
    assert (bad.text.count(" aria-invalid="), bad.text.count('field-2-fault"')) == (1, 2)
    assert "my &#34;text&#34; &lt;/textarea&gt;" in bad.text
    assert "<script" not in bad.text
    assert good.status_code == 200


async def test_defaults_and_options_are_filled_in_as_text() -> None:
    """Defaults and options stand in their fields, whatever they hold; inputs without a place come after the content."""
    world = await make_world(approval(content="Well? {{#$output.comment#}}", inputs=[COMMENT, SELECT]))
    link = await link_of(world)
    async with world.client("") as client:
        _, page = await opened(client, link)
    assert "&lt;/textarea&gt;&lt;script&gt;" in page.text
    assert '<option value="&lt;b&gt;warm&lt;/b&gt;">' in page.text
    assert "<script" not in page.text
    assert page.text.index('name="input.comment"') < page.text.index('name="input.tone"')


async def test_content_of_a_form_is_harmless() -> None:
    """What an input of the run brings into the content is text on the page."""
    world = await make_world(approval(title="<script>t</script>", content="{{#start1.topic#}}"))
    async with world.client() as client:
        await client.post("/v1/workflows/run", json={**RUN, "inputs": {"topic": "<script>"}})
        link = f"/form/{token_for(world, RecipientType.STANDALONE_WEB_APP, Surface.WEB)}"
        client.headers.pop("authorization")
        _, page = await opened(client, link)
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


async def test_page_of_another_kind_is_refused(world: World) -> None:
    """An answer comes as an ordinary web form; anything else is refused as a page."""
    link = await link_of(world)
    async with world.client("") as client:
        address, _ = await opened(client, link)
        as_json = await client.post(address, json=APPROVE)
        too_many = await client.post(address, data={f"x{number}": "" for number in range(300)})
    assert (as_json.status_code, too_many.status_code) == (415, 400)
    assert as_json.headers["content-type"].startswith("text/html")


async def test_form_of_a_delivery_test_opens_and_takes_an_answer(world: World) -> None:
    """The link of a delivery test shows a form that can be answered, and no run hears of it."""
    ids = iter(f"00000000-0000-7000-8000-00000000000{digit}" for digit in "ab")

    def new_id() -> str:
        return next(ids)

    request = request_of_node(APPROVAL_BY_MAIL, "human", {}, "trial")
    order = delivery_test_form(DeliveryTestOrder(request, "m", world.workspace_id, world.app_id, "account"))
    form = new_form(order, world.clock.now(), 0.0, new_id, "delivery_test")
    recipients = new_recipients(order, form.form_id, [], new_id, "delivery_test")
    tokens = [row for each in recipients for row in token_rows(form, each, KEY)]
    await world.hitl.forms.open(form, recipients, tokens)
    async with world.client("") as client:
        link = f"/form/{token_for(world, RecipientType.EMAIL_EXTERNAL, Surface.WEB)}"
        reply = await sent(client, link, **APPROVE)
    assert reply.status_code in (200, 303), reply.text
    assert (await world.hitl.forms.get(form.form_id)).status is FormStatus.SUBMITTED
    assert world.store.inbox == {}
