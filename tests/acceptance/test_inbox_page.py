"""The inbox in a browser: without scripts, for people who have logged in."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from typing import Any

import httpx2
import pytest

from actors.messages import ClaimOrder, ReleaseOrder
from approval import RUN, approval
from console_world import PASSWORD, add_person, browser
from store_world import acts_on
from surface_world import CLAIM_LIFETIME_S, World, make_world

ANSWERED = "Your answer has been recorded."
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


async def waiting_form(world: World) -> str:
    """Start a run by API key and return the id of its form."""
    async with world.client() as client:
        return (await client.post("/v1/workflows/run", json=RUN)).json()["data"]["reasons"][0]["form_id"]


def hidden(page: httpx2.Response) -> str:
    """Return the hidden value of a page."""
    (found,) = set(re.findall(r'name="guard" value="([^"]+)"', page.text))
    return unescape(found)


async def logged_in(
    client: httpx2.AsyncClient, address: str = "/inbox", email: str = "ann@example.org"
) -> httpx2.Response:
    """Log in by the page and return where one is led."""
    page = await client.get(address, follow_redirects=True)
    body = {"guard": hidden(page), "email": email, "password": PASSWORD}
    action = unescape(re.findall(r'action="([^"]+)"', page.text)[0])
    return await client.post(action, data=body)


async def test_person_logs_in_finds_a_form_and_answers_it(world: World) -> None:
    """From the link of a form over the login back to the form, to its answer, and the run goes on."""
    await add_person(world, role="normal")
    form_id = await waiting_form(world)
    async with browser(world) as client:
        led = await logged_in(client, f"/inbox/forms/{form_id}")
        assert (led.status_code, led.headers["location"]) == (303, f"/inbox/forms/{form_id}")
        page = await client.get(led.headers["location"])
        assert "Write about tea?" in page.text and "You answer as Ann" in page.text and "this link" not in page.text
        assert "Nothing waits here." in (await client.get("/inbox")).text, "it asks nobody in person"
        listed = await client.get("/inbox?filter=unclaimed")
        assert f'href="/inbox/forms/{form_id}"' in listed.text and "Review" in listed.text
        world.clock.at += 1
        body = {"guard": hidden(page), "action": "approve", "input.comment": "fine\r\nby me"}
        sent = await client.post(f"/inbox/forms/{form_id}", data=body)
        assert sent.status_code == 200 and ANSWERED in sent.text
        assert "Already answered" in (await client.get(f"/inbox/forms/{form_id}")).text
        await world.runs.settle()
        assert "Nothing waits here." in (await client.get("/inbox?filter=unclaimed")).text
    (run,) = world.store.runs.values()
    assert (run.status, run.outputs) == ("succeeded", {"answer": "fine\nby me"})
    read, entry = await acts_on(world.hitl.forms, form_id)
    assert (read.event, read.account_id, entry.event) == ("viewed", entry.account_id, "submitted")
    assert (entry.via, world.store.accounts[entry.account_id or ""].email) == ("console", "ann@example.org")


async def test_every_page_is_strict(world: World) -> None:
    """No page may be framed, cached, or load anything from anywhere; none runs scripts."""
    await add_person(world)
    form_id = await waiting_form(world)
    async with browser(world) as client:
        pages = [await client.get("/inbox"), await client.get("/inbox/login")]
        await logged_in(client)
        pages += [await client.get(path) for path in ("/inbox", f"/inbox/forms/{form_id}", "/inbox/forms/x")]
        pages.append(await client.post("/inbox/logout"))
    for page in pages:
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store" and page.headers["referrer-policy"] == "no-referrer"
        assert "<script" not in page.text and "http://" not in page.text and "https://" not in page.text


async def test_login_page_takes_what_it_gave_only(world: World) -> None:
    """Another site cannot log anybody in: it has neither the cookie of the page nor the value that fits it."""
    await add_person(world)
    body = {"email": "ann@example.org", "password": PASSWORD}
    async with browser(world) as client, browser(world) as other:
        foreign = hidden(await other.get("/inbox/login"))
        assert (await client.post("/inbox/login", data={**body, "guard": foreign})).status_code == 403
        own = hidden(await client.get("/inbox/login"))
        for guard in ("", "x", foreign, "ü"):
            refused = await client.post("/inbox/login", data={**body, "guard": guard})
            assert refused.status_code == 403 and "access_token" not in client.cookies
        assert own != foreign


async def test_wrong_password_is_told_and_limited(world: World) -> None:
    """The page says that the two do not belong together, and after ten tries that it takes no more."""
    await add_person(world)
    async with browser(world) as client:
        statuses = []
        for _ in range(11):
            page = await client.get("/inbox/login")
            body = {"guard": hidden(page), "email": "ann@example.org", "password": '"><script>'}
            answer = await client.post("/inbox/login", data=body)
            statuses.append(answer.status_code)
            assert "<script" not in answer.text and 'value="ann@example.org"' in answer.text
        assert statuses == [401] * 10 + [429] and answer.headers["retry-after"] == "900"


@pytest.mark.parametrize(
    "way", ["//evil.example", "https://evil.example", "/inbox/../x", "/form/x", "/inbox\r\nX: y", "\\evil"]
)
async def test_login_leads_nowhere_else(world: World, way: str) -> None:
    """After logging in one comes to the inbox or to one of its forms, whatever the address says."""
    await add_person(world)
    async with browser(world) as client:
        page = await client.get("/inbox/login", params={"next": way})
        body = {"guard": hidden(page), "email": "ann@example.org", "password": PASSWORD}
        led = await client.post("/inbox/login", params={"next": way}, data=body)
    assert (led.status_code, led.headers["location"]) == (303, "/inbox")


async def test_answer_needs_the_value_of_this_login(world: World) -> None:
    """A page of another login, or none, decides nothing; what was entered is shown again."""
    await add_person(world)
    await add_person(world, "bob@example.org")
    form_id = await waiting_form(world)
    path = f"/inbox/forms/{form_id}"
    async with browser(world) as client, browser(world) as other:
        await logged_in(client)
        await logged_in(other)
        foreign = hidden(await other.get(path))
        for guard in ("", "x", foreign, client.cookies["access_token"]):
            body = {"guard": guard, "action": "approve", "input.comment": "my <b>words</b>"}
            again = await client.post(path, data=body)
            assert again.status_code == 403 and "my &lt;b&gt;words&lt;/b&gt;" in again.text
        for action in ("/inbox/logout",):
            assert (await client.post(action, data={"guard": foreign})).status_code == 403
            assert (await client.get("/inbox")).status_code == 200
    assert [each.status for each in world.store.forms.values()] == ["waiting"]


async def test_page_left_open_is_answered_after_renewal(world: World) -> None:
    """When the hour is over the refresh token lets the person in, and the answer is asked for once more."""
    await add_person(world)
    form_id = await waiting_form(world)
    path = f"/inbox/forms/{form_id}"
    async with browser(world) as client:
        await logged_in(client)
        body = {"guard": hidden(await client.get(path)), "action": "approve", "input.comment": "late"}
        world.clock.at += 3600
        again = await client.post(path, data=body)
        assert again.status_code == 403 and "late" in again.text
        sent = await client.post(path, data={**body, "guard": hidden(again)})
        assert sent.status_code == 200 and ANSWERED in sent.text


async def test_answer_that_does_not_fit_is_shown_again(world: World) -> None:
    """The reason is told and the form stays open."""
    await add_person(world)
    form_id = await waiting_form(world)
    async with browser(world) as client:
        await logged_in(client)
        page = await client.get(f"/inbox/forms/{form_id}")
        again = await client.post(f"/inbox/forms/{form_id}", data={"guard": hidden(page), "action": "nope"})
        assert again.status_code == 400 and "Your answer was not sent." in again.text
        wrong_type = await client.post(f"/inbox/forms/{form_id}", content=b"{}", headers={"Content-Type": "text/plain"})
        assert wrong_type.status_code == 415


async def test_files_of_an_answer_are_kept_and_reach_the_run() -> None:
    """A file is uploaded with the answer; it stays on the page where something else does not fit, and is sent once."""
    report = {"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}
    report |= {"allowed_file_extensions": [], "allowed_file_upload_methods": ["local_file"]}
    choice = {"type": "select", "output_variable_name": "pick", "option_source": {"type": "constant", "value": ["a"]}}
    world = await make_world(approval(content="Well?", inputs=[report, choice]))
    await add_person(world)
    path = f"/inbox/forms/{await waiting_form(world)}"
    async with browser(world) as client:
        await logged_in(client)
        page = await client.get(path)
        assert 'enctype="multipart/form-data"' in page.text and 'name="file.report"' in page.text
        body, files = {"guard": hidden(page), "action": "approve"}, {"file.report": ("r.pdf", b"%PDF-1.7", "text/html")}
        foreign = await client.post(path, data={**body, "guard": "x", "input.pick": "a"}, files=files)
        assert foreign.status_code == 403 and not world.store.files
        again = await client.post(path, data={**body, "input.pick": "b"}, files=files)
        assert again.status_code == 400 and "Please choose one of the options." in again.text
        (record,) = world.store.files.values()
        assert f'name="kept.report" value="{record.file_id}" checked' in again.text
        nothing: Any = {"file.none": ("", b"", "application/octet-stream")}
        done = await client.post(path, data={**body, "input.pick": "a", "kept.report": record.file_id}, files=nothing)
        assert done.status_code == 200 and ANSWERED in done.text
    await world.runs.settle()
    (answer,) = world.store.answers.values()
    assert answer.submission.values["report"]["related_id"] == record.file_id and record.mime_type == "application/pdf"
    (run,) = world.store.runs.values()
    assert (run.status, run.created_by_id) == ("succeeded", record.owner.owner_id)


async def test_login_takes_no_files(world: World) -> None:
    """Whoever is not logged in can have nothing stored on the way: the login page is read as text alone."""
    await add_person(world)
    async with browser(world) as client:
        refused = await client.post("/inbox/login", files={"file.x": ("x.pdf", b"%PDF-1.7", "application/pdf")})
    assert refused.status_code == 415


async def test_forms_of_others_and_lost_ones_are_told_kindly(world: World) -> None:
    """Unknown, foreign and expired forms each give a page."""
    other = await world.ports.console.accounts.ensure_workspace("other")
    await add_person(world, workspace_id=other.workspace_id)
    form_id = await waiting_form(world)
    async with browser(world) as client:
        await logged_in(client)
        for path in (f"/inbox/forms/{form_id}", "/inbox/forms/x", "/inbox/forms/%00"):
            page = await client.get(path)
            assert page.status_code == 404 and "There is no such form" in page.text
        world.store.forms[form_id] = replace(world.store.forms[form_id], workspace_id=other.workspace_id)
        world.clock.at += 40 * 3600
        assert "The time for this form is over" in (await client.get(f"/inbox/forms/{form_id}")).text


async def test_logout_ends_the_login(world: World) -> None:
    """After it the pages lead to the login again, also for copies of the cookies."""
    await add_person(world)
    async with browser(world) as client:
        await logged_in(client)
        copies = dict(client.cookies)
        page = await client.get("/inbox")
        left = await client.post("/inbox/logout", data={"guard": hidden(page)})
        assert (left.status_code, left.headers["location"]) == (303, "/inbox/login")
        for name, value in copies.items():
            client.cookies.set(name, value)
        assert (await client.get("/inbox")).headers["location"] == "/inbox/login?next=%2Finbox"
        assert (await client.post("/inbox/logout", data={"guard": hidden(page)})).status_code == 401


@pytest.mark.parametrize("query", ["filter=odd", "status=odd", "cursor=odd", "limit=0", "app_id=1"])
async def test_bad_query_is_told(world: World, query: str) -> None:
    """A parameter that cannot be is named."""
    await add_person(world)
    async with browser(world) as client:
        await logged_in(client)
        page = await client.get(f"/inbox?{query}")
        assert page.status_code == 400 and query.partition("=")[0] in page.text


async def test_list_is_searched_and_paged(world: World) -> None:
    """What is searched for stays in the links; older forms are a link away."""
    await add_person(world)
    ids = [await waiting_form(world) for _ in range(3)]
    async with browser(world) as client:
        await logged_in(client)
        first = await client.get("/inbox?limit=2&filter=all&q=rev")
        assert [form_id in first.text for form_id in ids] == [False, True, True]
        (more,) = re.findall(r'href="([^"]+)" rel="next"', first.text)
        second = await client.get(unescape(more))
        assert ids[0] in second.text and "filter=all" in unescape(more) and "q=rev" in unescape(more)
        nothing: Any = await client.get("/inbox", params={"q": "nothing like it"})
        assert "Nothing waits here." in nothing.text


async def test_form_is_claimed_and_released_on_the_list(world: World) -> None:
    """A form that nobody claims can be claimed, one's own claim released, and that of others left alone."""
    ann = await add_person(world)
    bob = await add_person(world, "bob@example.org")
    free, own, others = [await waiting_form(world) for _ in range(3)]
    await world.hitl.act(ClaimOrder(own, ann.account_id, "console"))
    await world.hitl.act(ClaimOrder(others, bob.account_id, "console"))
    async with browser(world) as client:
        await logged_in(client)
        page = await client.get("/inbox")
        acts = re.findall(r'action="/inbox/forms/([^/"]+)/(\w+)"', page.text)
        assert sorted(acts) == sorted([(free, "claim"), (own, "release")])
        assert "claimed by Bob" in page.text
        for form_id, act in acts:
            address = f"/inbox/forms/{form_id}/{act}"
            for guard in ("", "x"):
                assert (await client.post(address, data={"guard": guard})).status_code == 403
            done = await client.post(address, data={"guard": hidden(page)})
            assert (done.status_code, done.headers["location"]) == (303, "/inbox")
        unknown = await client.post("/inbox/forms/x/claim", data={"guard": hidden(page)})
        assert unknown.status_code == 404
    holders = {form_id: claim.account_id for form_id, claim in world.store.claims.items()}
    assert holders == {free: ann.account_id, others: bob.account_id}


async def test_form_that_somebody_else_has_claimed_is_told_with_the_time(world: World) -> None:
    """What was entered stays on the page, which says until when; claiming it as well is told the same."""
    await add_person(world)
    bob = await add_person(world, "bob@example.org")
    form_id = await waiting_form(world)
    path = f"/inbox/forms/{form_id}"
    async with browser(world) as client:
        await logged_in(client)
        guard = hidden(await client.get(path))
        await world.hitl.act(ClaimOrder(form_id, bob.account_id, "console"))
        again = await client.post(path, data={"guard": guard, "action": "approve", "input.comment": "my words"})
        claim = await client.post(f"{path}/claim", data={"guard": guard})
    told = "Somebody else has claimed this form, until 2026-06-09 10:23 UTC"
    assert (again.status_code, claim.status_code) == (409, 409)
    assert told in again.text and "my words" in again.text and told in claim.text


async def test_page_of_a_form_says_who_has_claimed_it(world: World) -> None:
    """Whoever opens a form sees the claim on it, their own as such, as long as it counts."""
    ann, bob = await add_person(world), await add_person(world, "bob@example.org")
    form_id = await waiting_form(world)
    path = f"/inbox/forms/{form_id}"
    async with browser(world) as client:
        await logged_in(client)
        assert "claimed this form" not in (await client.get(path)).text
        await world.hitl.act(ClaimOrder(form_id, bob.account_id, "console"))
        foreign = await client.get(path)
        await world.hitl.act(ReleaseOrder(form_id, bob.account_id, "console"))
        await world.hitl.act(ClaimOrder(form_id, ann.account_id, "console"))
        own = await client.get(path)
        world.clock.at += CLAIM_LIFETIME_S
        assert "claimed this form" not in (await client.get(path)).text
    assert "Bob has claimed this form, until 2026-06-09 10:23 UTC unless they release it." in foreign.text
    assert "You have claimed this form, until 2026-06-09 10:23 UTC." in own.text


async def test_votes_on_a_page_are_told_apart_from_decisions() -> None:
    """The first of two approvers reads that others are still to vote, the second that the form has its answer."""
    rules = {"approval": {"approvers": ["ann@example.org", "bob@example.org"], "quorum": 2}}
    world = await make_world(approval(greenroom=rules))
    for email in ("ann@example.org", "bob@example.org"):
        await add_person(world, email, role="normal")
    path = f"/inbox/forms/{await waiting_form(world)}"
    told = []
    for email in ("ann@example.org", "bob@example.org"):
        async with browser(world) as client:
            await logged_in(client, email=email)
            page = await client.get(path)
            assert "Your answer is your vote" in page.text and "goes on at once" not in page.text
            body = {"guard": hidden(page), "action": "approve", "input.comment": email}
            told += [await client.post(path, data=body), await client.post(path, data=body)]
    await world.runs.settle()
    assert [each.status_code for each in told] == [200, 412, 200, 412]
    texts = ("Your vote counts; others are still to vote.", "You have voted", ANSWERED, "Already answered")
    assert [text in each.text for text, each in zip(texts, told, strict=True)] == [True] * 4
    assert [run.outputs for run in world.store.runs.values()] == [{"answer": "bob@example.org"}]
