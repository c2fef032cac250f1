"""Apps that are called as tools: run inside of the calling run, bounded in depth, never asking people."""

from typing import Any

import pytest

import factories as f
from actors.tool_box import ToolBox
from effect_fakes import ports_of
from effects.tools.catalog import ToolCatalog
from fakes import ListRecorder, ScriptedChat, TickClock
from graph.engine import Engine, Limits
from graph.events import RunFinished
from graph.plan import Plan, compile_plan
from graph.run_state import RunState
from graph.workflow import Workflow
from store.app_record import AppRecord
from store.errors import AppNotFoundError


def calling(app: str, **parameters: Any) -> tuple[list[Any], list[Any]]:
    """A graph that calls an app and ends with its text and its output ``out``."""
    inputs = {name: {"type": "mixed", "value": value} for name, value in parameters.items()}
    tool = f.node("t", "tool", provider_id=app, provider_type="workflow", tool_name="run", tool_parameters=inputs)
    nodes = [f.start("q"), tool, f.end("end", text=["t", "text"], out=["t", "out"], json=["t", "json"])]
    return nodes, [f.edge("start", "t"), f.edge("t", "end")]


ECHO = ([f.start("q"), f.end("end", out=["start", "q"])], [f.edge("start", "end")])
ASKING = ([f.start(), f.human(), f.end("end")], [f.edge("start", "human"), f.edge("human", "end", "approve")])
BROKEN = ([f.start(), f.llm("llm"), f.end("end")], [f.edge("start", "llm"), f.edge("llm", "end")])
ITSELF = calling("itself")
NEEDY = (
    [f.node("start", "start", variables=[{"variable": "n", "label": "n", "type": "number", "required": True}]),
     f.end("end", out=["start", "n"])],
    [f.edge("start", "end")],
)  # fmt: skip


class Installation:
    """Apps in memory, by name; each app's version is its name."""

    def __init__(self) -> None:
        graphs = {"echo": ECHO, "asking": ASKING, "broken": BROKEN, "itself": ITSELF, "needy": NEEDY}
        self._flows: dict[str, Workflow] = {name: f.workflow(*graph) for name, graph in graphs.items()}
        self._flows["chat"] = f.workflow(*ECHO, mode="advanced-chat")

    async def find_app(self, name_or_id: str) -> AppRecord:
        """Return the app with this name."""
        if name_or_id not in self._flows:
            raise AppNotFoundError(name_or_id)
        values: dict[str, Any] = {"app_id": name_or_id, "name": name_or_id, "published_version_id": name_or_id}
        return AppRecord(**{name: values.get(name, "") for name in AppRecord.__dataclass_fields__})

    async def plan(self, version_id: str) -> Plan:
        """Return its plan."""
        return compile_plan(self._flows[version_id])


async def run(app: str, **parameters: Any) -> RunFinished:
    """Run a workflow that calls ``app``, and return how it ended."""
    installation = Installation()
    names = ("echo", "asking", "broken", "itself", "needy", "chat", "gone")
    catalog = ToolCatalog.parse({"sources": {name: {"kind": "workflow", "app": name} for name in names}})
    box = ToolBox(catalog, installation, installation, Limits(), TickClock())
    effects = box.added_to(ports_of(chat=ScriptedChat({"llm": [RuntimeError("it broke")]})))
    plan = compile_plan(f.workflow(*calling(app, **parameters)))
    outcome = await Engine(plan, RunState(plan), "run", effects, ListRecorder(), TickClock()).start({"q": "tea"}, {})
    assert isinstance(outcome, RunFinished)
    return outcome


async def test_app_gives_its_outputs_to_the_tool_node():
    """What the called app puts out is the node's text, JSON and variables."""
    outcome = await run("echo", q="<{{#start.q#}}>")
    assert outcome.outputs == {"text": '{"out": "<tea>"}', "out": "<tea>", "json": [{"out": "<tea>"}]}


async def test_inputs_are_read_by_the_start_form():
    """The text that a tool node hands over becomes what the start form wants; what does not fit fails."""
    assert (await run("needy", n="5")).outputs["out"] == 5
    assert "n is required" in ((await run("needy")).error or "")


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("asking", 'the workflow "asking" has a human-input node'), ("broken", "it broke"), ("gone", "gone"),
        ("chat", "mode advanced-chat cannot be a tool"), ("itself", "Max workflow call depth 5 reached."),
    ],
)  # fmt: skip
async def test_calls_that_cannot_be_made_fail_the_node(app, reason):
    """An app that asks people, fails, is missing, is a chatflow or calls itself for ever fails the tool node."""
    outcome = await run(app)
    assert outcome.status == "failed" and reason in (outcome.error or "")
