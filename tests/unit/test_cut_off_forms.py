"""A form whose container pass is cut off: closed soon, while its run goes on."""

from actors.form_opening import new_form
from actors.messages import FormOrder, order_run
from actors.plans import Plans
from actors.run_segment import RunSegment, Surroundings
from factories import assigner, condition, document, edge, end, human, iteration, llm, node, start
from fakes import ScriptedChat, TickClock
from graph.engine import Limits
from graph.ports import OpenedForm
from hitl.form import Form, FormStatus
from store.app_record import WorkflowVersion
from store.run_record import NewRun
from store_world import StoreWorld, memory_world

NODES = [
    start("topic"),
    *iteration(
        "it", ["start", "topics"], ["ask", "comment"], human("ask"), llm("wait"),
        node("check", "if-else", cases=[
            {"case_id": "true", "logical_operator": "and", "conditions": [condition(["it", "item"], "is", "bad")]},
        ]),
        assigner("fail", (["no", "where"], "set", 1)), is_parallel=True, error_handle_mode="continue-on-error",
    ),
    end(output=["it", "output"]),
]  # fmt: skip
EDGES = [
    edge("start", "it"), edge("itstart", "ask"), edge("itstart", "wait"), edge("wait", "check"),
    edge("check", "fail", "true"), edge("it", "end"),
]  # fmt: skip


class OneVersion:
    """A store with the workflow above, whose iteration goes over "bad" and "fine"."""

    async def version(self, version_id: str) -> WorkflowVersion:
        """Return it."""
        return WorkflowVersion(version_id, "app", "hash", document(NODES, EDGES), 0.0)


class Opener:
    """Opens forms in a store; counts their ids."""

    def __init__(self, world: StoreWorld) -> None:
        self.world = world
        self.count = 0

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open it."""
        self.count += 1
        form: Form = new_form(order, 1000.0, 0.0, lambda: f"form-{self.count}")
        stored = await self.world.forms.open(form, [], [])
        return OpenedForm(stored.form_id, stored.expires_at, True)


async def test_form_of_a_cut_off_pass_expires_while_its_run_waits_for_another():
    """The failed pass leaves its form to be expired; the other form waits on, and the run with it."""
    world = memory_world()
    chat = ScriptedChat({"wait": ["x"]})
    around = Surroundings(world.journal, Plans(OneVersion()), chat, Opener(world), Limits(), TickClock())
    inputs = {"topics": ["bad", "fine"]}
    run = NewRun("run", "ws", "app", "v", "workflow", "service-api", "account", "acc", "u", inputs, 5.0)
    outcome = await RunSegment("run", "lease", "a0", around).start(order_run(run))
    assert (outcome.status, len(outcome.forms)) == ("paused", 1)
    (cut_off,) = await world.human_time.expire_cut(1010.0)
    assert cut_off != outcome.forms[0].form_id
    statuses = {form.form_id: form.status for form in await world.forms.by_run("run")}
    assert statuses == {cut_off: FormStatus.EXPIRED, outcome.forms[0].form_id: FormStatus.WAITING}
    assert [entry.reason for entry in await world.forms.audit(cut_off)] == [None, "cut_off"]
    assert await world.journal.inbox("run") == []
