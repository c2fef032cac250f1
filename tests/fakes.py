"""Stand-ins for the engine's ports: scripted, deterministic, in memory."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from graph.events import Fact, TextPart
from graph.ports import ChatDelta, ChatRequest, ChatUsage, Effects, FormRequest, InboxItem, OpenedForm


class TickClock:
    """Moves on by one second each time it is read."""

    def __init__(self, start: float = 1_781_000_000.0, step: float = 1.0) -> None:
        self._ticks = count()
        self._start = start
        self._step = step

    def now(self) -> float:
        """Return the next second."""
        return self._start + next(self._ticks) * self._step


@dataclass
class ListRecorder:
    """Keeps what the engine appends and tells. ``pending``: items that the next pauses find un-taken."""

    facts: list[Fact] = field(default_factory=list)
    told: list[Fact | TextPart] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    append_sizes: list[int] = field(default_factory=list)
    pending: list[InboxItem] = field(default_factory=list)
    snapshot: bytes | None = None

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Keep ``facts`` as told."""
        self.append_sizes.append(len(facts))
        self.facts.extend(facts)
        self.told.extend(facts)
        self.taken.extend(taken)

    def tell(self, part: TextPart) -> None:
        """Keep ``part`` as told."""
        self.told.append(part)

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Keep the pause, unless items are pending."""
        left = [item for item in self.pending if item.item_id not in [*self.taken, *taken]]
        if left:
            return left
        await self.append(facts, taken)
        self.snapshot = snapshot
        return []

    @property
    def parts(self) -> list[TextPart]:
        """Every part told, in order."""
        return [item for item in self.told if isinstance(item, TextPart)]


@dataclass
class ScriptedChat:
    """Answers each model name with its pieces; a piece that is an exception is raised in its place."""

    script: dict[str, list[str | Exception]] = field(default_factory=dict)
    requests: list[ChatRequest] = field(default_factory=list)

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Yield the scripted pieces of ``request.name``."""
        self.requests.append(request)
        pieces = self.script.get(request.name, ["This", " is", " scripted"])
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield ChatDelta(text=piece)
        yield ChatDelta(finish_reason="stop", usage=ChatUsage(3, len(pieces), 0.5, 0.1))


@dataclass
class ListForms:
    """Opens forms with counted ids; the same execution gets the same form."""

    requests: list[FormRequest] = field(default_factory=list)
    opened: dict[str, OpenedForm] = field(default_factory=dict)

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Return the form of the request's execution."""
        self.requests.append(request)
        known = self.opened.get(request.execution_id)
        if known is None:
            known = OpenedForm(f"form-{len(self.opened) + 1}", 1_781_129_600.0, True)
            self.opened[request.execution_id] = known
        return known


def effects(chat: ScriptedChat | None = None, forms: ListForms | None = None) -> Effects:
    """Return effect ports over the given stand-ins."""
    return Effects(chat or ScriptedChat(), forms or ListForms())
