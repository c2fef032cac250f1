"""Facts on their way: applied to the state at once, gathered, and appended before anything outside relies on them."""

from graph.events import Fact, NodeFinished, NodeRetried, TextEmitted
from graph.ids import derive_execution_id
from graph.inflight import InFlight, stream_id
from graph.plan import container_of
from graph.ports import InboxItem, Recorder
from graph.response_stream import Emission
from graph.run_state import Execution, RunState, apply


class Ledger:
    """The facts of a run that are not durable yet, and the inbox items that they take up."""

    def __init__(self, run_id: str, state: RunState, recorder: Recorder, inflight: InFlight) -> None:
        self._run_id = run_id
        self._state = state
        self._recorder = recorder
        self._inflight = inflight
        self._secrets = state.plan.secrets
        self.facts: list[Fact] = []
        self.taken: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether everything that happened is durable, so that parts of text may be told."""
        return not self.facts

    def record(self, fact: Fact) -> None:
        """Apply ``fact`` to the state and put it among the facts to append, together with the text it sets free.

        That text comes before the end of a node, but after the start of the run or of a pass (spec/graph.md 4.12).
        """
        state, facts = self._state, self.facts
        if self._secrets is not None and isinstance(fact, (NodeFinished, NodeRetried)):
            self._secrets.hide(fact)
        if type(fact) is NodeFinished:
            execution = state.executions[fact.execution_id]
            stored = self._inflight.end_node(fact)
            for emission in apply(state, fact):
                facts.append(self._text_fact(fact.at, emission, execution))
            fact.streamed = stored
            facts.append(fact)
        else:
            facts.append(fact)
            for emission in apply(state, fact):
                facts.append(self._text_fact(fact.at, emission, None))

    def _text_fact(self, at: float, emission: Emission, ended: Execution | None) -> TextEmitted:
        """Return the fact that ``emission`` is told; ``ended``: the execution whose end sets it free."""
        plan = self._state.plan.scopes[container_of(emission.scope)]
        node_id = plan.nodes[emission.node].id
        execution_id = derive_execution_id(self._run_id, emission.scope, node_id)
        stream = ""
        if emission.is_streamed:
            # Only the execution that has just ended can have told parts; the others were not listened to.
            is_own = ended is not None and ended.execution_id == execution_id
            streamed_by = ended if is_own and ended else Execution(execution_id, emission.scope, emission.node, 0, at)
            stream = stream_id(streamed_by, emission.selector[1])
        return TextEmitted(
            at,
            node_id,
            execution_id,
            list(emission.selector),
            emission.texts,
            emission.is_final,
            stream,
            emission.scope,
        )

    async def flush(self) -> None:
        """Append and tell what has gathered, then the text that had to wait for it."""
        if self.facts or self.taken:
            await self._recorder.append(self.facts, self.taken)
            self.facts, self.taken = [], []
        self._inflight.tell()

    async def pause(self, paused: Fact, snapshot: bytes) -> list[InboxItem]:
        """Append what has gathered and ``paused`` with the state they lead to, if no inbox item is left.

        Returns:
            Nothing, and the pause is durable; or the items to take up first, and nothing was stored.
        """
        items = await self._recorder.pause([*self.facts, paused], self.taken, snapshot)
        if not items:
            self.facts, self.taken = [], []
        return list(items)
