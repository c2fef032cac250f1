"""Mails and events on the real courier: sent at once, also by its successor, and tried out without a run."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

import factories as f
from actors.calls import COURIER
from actors.client import Greenroom
from actors.errors import NoMailRecipientsError, NotMailMethodError
from actors.forms import FormsClient
from actors.messages import DeliveryTestOrder, SubmitOrder
from hitl.errors import FormNotFoundError
from hitl.form import FormStatus
from hitl.form_preview import request_of_node
from hitl.form_token import hash_token
from local_cluster import LocalCluster
from local_mail import LocalMail, body_of, local_mail
from local_server import LocalServer, local_server
from stage import Stage, kill_process, open_stage
from store.form_record import TokenMatch
from store.outbox import SqlOutbox

pytestmark = pytest.mark.timeout(300)

# The courier reads it in its own process, whose environment is that of the Ray which a fixture starts later.
os.environ["GREENROOM_WEBHOOK_TEST"] = "secret-of-the-tests"
ANN = "ann@x.example"
EVENTS = ["run.paused", "form.decided", "run.resumed", "run.finished"]


@dataclass
class Town:
    """A Greenroom with a mail server and somebody who is told."""

    stage: Stage
    mails: LocalMail
    server: LocalServer
    document: dict
    outbox: SqlOutbox

    async def until_mail(self, count: int = 1) -> list:
        """Return the mails once there are so many."""
        await self.stage.until(lambda: len(self.mails.taken) >= count, f"{count} mails")
        return self.mails.taken

    async def link_of(self, mail) -> TokenMatch:
        """Return what the link of a mail stands for."""
        found = re.search(r"https://greenroom\.example/form/([A-Za-z0-9]{43})", body_of(mail, "plain"))
        assert found is not None
        match = await self.stage.ports.forms.by_token(hash_token(found[1]))
        assert match is not None
        return match

    async def answer(self, mail) -> None:
        """Answer as the reader of a mail."""
        match = await self.link_of(mail)
        order = SubmitOrder(match.form.form_id, match.recipient.recipient_id, match.generation, "approve",
                            {"comment": "by mail"}, "web")  # fmt: skip
        await FormsClient().submit(order)


def document(url: str) -> dict:
    """A workflow that asks by mail and tells a webhook."""
    human = f.human()
    addressed = {"items": [{"type": "external", "email": ANN}]}
    config = {"recipients": addressed, "subject": "About {{#start.topic#}}", "body": "Please: {{#url#}}"}
    nobody = {"recipients": {"items": []}, "subject": "S", "body": "B"}
    human["data"]["delivery_methods"] += [
        {"id": "m-1", "type": "email", "config": config},
        {"id": "m-2", "type": "email", "config": nobody},
    ]
    graph = [f.start("topic"), human, f.end(out=["human", "comment"])]
    edges = [f.edge("start", "human"), f.edge("human", "end", "approve")]
    hook = {"url": url, "events": EVENTS, "secret_env": "GREENROOM_WEBHOOK_TEST"}
    return f.document(graph, edges) | {"greenroom": {"webhooks": [hook]}}


@pytest.fixture(scope="module")
async def town(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A Greenroom with a pool of one, whose mails and events stay on this machine."""
    with local_mail() as mails:
        async with local_server() as server:
            server.reply("/hook")
            options = {
                "smtp_url": f"smtp://127.0.0.1:{mails.port}",
                "smtp_from": "g@greenroom.example",
                "smtp_tls": "none",
                "public_url": "https://greenroom.example",
                "http_allowed_networks": "127.0.0.0/8",
            }
            async with open_stage(tmp_path_factory.mktemp("stage"), pool_size=1, **options) as stage:
                made = document(server.url + "/hook")
                workspace = await stage.ports.accounts.ensure_workspace(stage.settings.workspace_name)
                workflow = f.workflow_of(made)
                stage.apps["mail"], _ = await stage.ports.apps.import_app(workspace.workspace_id, workflow, None)
                yield Town(stage, mails, server, made, SqlOutbox(stage.ports.database))


@pytest.fixture(autouse=True)
def fresh(town: Town) -> None:
    """Nothing was sent yet."""
    town.mails.taken.clear()
    town.server.asked.clear()


async def test_mail_is_sent_when_the_form_opens_and_its_link_answers_it(town: Town):
    """The mail comes by the hint, well before the net; the answer through its link ends the run, and all is told."""
    order = await town.stage.order("mail")
    outcome = await town.stage.ports.runs.start(order)
    (mail,) = await town.until_mail()
    assert (mail["To"], mail["Subject"]) == (ANN, "About tea")
    await town.answer(mail)
    record = await town.stage.until_status(order.run_id, "succeeded", "failed")
    assert record.outputs == {"out": "by mail"}
    await town.stage.until(lambda: len(town.server.asked) == len(EVENTS), "every event")
    assert sorted(asked.headers["greenroom-event"] for asked in town.server.asked) == sorted(EVENTS)
    form_id = outcome.forms[0].form_id

    async def recorded():
        found = await town.outbox.deliveries(form_id)
        return found if all(each.state == "sent" for each in found) else None

    found = await town.stage.until(recorded, "the records")
    assert {(each.kind, each.occasion) for each in found} == {("mail", "opened"), ("webhook", "form.decided")}


async def test_python_client_shows_how_mails_fare_and_has_failed_ones_sent_again(town: Town):
    """A mail that was refused for good shows why; sent again on demand it is taken."""
    town.mails.rcpt[ANN] = ["550 not today"]
    outcome = await town.stage.ports.runs.start(await town.stage.order("mail"))
    form_id = outcome.forms[0].form_id
    greenroom = await asyncio.to_thread(Greenroom.connect, settings=town.stage.settings)
    try:

        async def failed():
            (mail,) = await asyncio.to_thread(greenroom.deliveries, form_id)
            return mail if mail.state == "failed" else None

        mail = await town.stage.until(failed, "the refusal")
        assert (mail.to, mail.last_error) == (ANN, "550 not today")
        assert await asyncio.to_thread(greenroom.resend, form_id) == 1
        (taken,) = await town.until_mail()
        await town.answer(taken)
        with pytest.raises(FormNotFoundError):
            await asyncio.to_thread(greenroom.deliveries, "no such form")
    finally:
        greenroom.close()


async def test_killed_courier_is_followed_by_one_that_sends(town: Town):
    """SIGKILL of the courier loses no mail: its successor finds it in the outbox."""
    kill_process(COURIER)
    await town.stage.ports.runs.start(await town.stage.order("mail"))
    (mail,) = await town.until_mail()
    await town.answer(mail)


async def test_delivery_is_tried_out_with_a_form_that_no_run_waits_for(town: Town):
    """A delivery test sends a real mail whose link answers a real form, and nothing resumes."""
    request = request_of_node(town.document, "human", {"start.topic": "tea"}, "trial-1")
    app_id = town.stage.apps["mail"]
    record = await town.stage.ports.apps.app(app_id)
    order = DeliveryTestOrder(request, "m-1", record.workspace_id, app_id, "account")
    form_id = await FormsClient().test_delivery(order)
    assert await FormsClient().test_delivery(order) == form_id
    (mail,) = await town.until_mail()
    assert mail["Subject"] == "Test: About tea"
    match = await town.link_of(mail)
    assert (match.form.form_id, match.form.kind, match.form.run_id) == (form_id, "delivery_test", None)
    await town.answer(mail)
    assert (await town.stage.ports.forms.get(form_id)).status is FormStatus.SUBMITTED


@pytest.mark.parametrize(
    ("method_id", "error"),
    [("web-1", NotMailMethodError), ("m-9", NotMailMethodError), ("m-2", NoMailRecipientsError)],
)
async def test_delivery_test_without_a_mail_is_refused(town: Town, method_id: str, error: type[Exception]):
    """A method that is no e-mail, is not there or reaches nobody is refused, and no form is opened."""
    request = request_of_node(town.document, "human", {}, f"trial-of-{method_id}")
    with pytest.raises(error):
        await FormsClient().test_delivery(DeliveryTestOrder(request, method_id, "ws", "app", "account"))
