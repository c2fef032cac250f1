"""Journal, effects and transcripts of a campaign against what Greenroom guarantees. Each violation is one sentence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from campaign.people import Report, Transcript
from graph.events import Fact, FormSubmitted, NodeFinished, RunFinished, RunStarted
from hitl.form import Form, FormStatus
from hitl.submission import Submission
from local_server import Asked
from store.run_record import TERMINAL, RunRecord

Numbered = Sequence[tuple[int, Fact]]
ONCE = ("workflow_finished", "human_input_form_filled", "node_finished")


@dataclass(frozen=True, slots=True)
class Found:
    """What the database holds of one run."""

    record: RunRecord
    facts: Numbered
    forms: Sequence[Form]
    submissions: dict[str, Submission | None] = field(default_factory=dict)


def violations(report: Report, runs: dict[str, Found], untaken: Sequence[Any], asked: Sequence[Asked]) -> list[str]:
    """Return everything that contradicts a guarantee; empty where all held.

    Args:
        report: what the people saw.
        runs: run id -> what the database holds, of every run in it.
        untaken: inbox items that no run has taken up.
        asked: the requests that the counting server got.
    """
    wrong = list(report.faults)
    if untaken:
        wrong.append(f"{len(untaken)} inbox items were never taken up")
    for run_id, found in runs.items():
        wrong += [f"run {run_id}: {text}" for text in (*_of_run(found), *_of_effects(found, asked))]
    for seen in report.transcripts:
        where = f"run {seen.run_id} ({seen.app}, {seen.topic})"
        if seen.run_id not in runs:
            wrong.append(f"{where}: a client was told of it, and it is not in the database")
            continue
        found = runs[seen.run_id]
        wrong += [f"{where}: {text}" for text in (*_of_answers(seen, found), *_of_transcript(seen, found))]
    return wrong


def _of_run(found: Found) -> Iterable[str]:
    """A run ends once, runs no node again that finished, and waits for nobody who has answered."""
    numbers = [number for number, _ in found.facts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "its facts have gaps"
    kinds = Counter(type(fact).__name__ for _, fact in found.facts)
    if kinds[RunStarted.__name__] != 1:
        yield f"{kinds[RunStarted.__name__]} facts that it started"
    if kinds[RunFinished.__name__] > 1:
        yield "it finished more than once"
    if kinds[RunFinished.__name__] and not isinstance(found.facts[-1][1], RunFinished):
        yield "facts follow its end"
    ends = Counter(fact.execution_id for _, fact in found.facts if isinstance(fact, NodeFinished))
    yield from (f"node execution {each} finished {count} times" for each, count in ends.items() if count > 1)
    status = found.record.status
    last = found.facts[-1][1] if found.facts else None
    if (status in TERMINAL) != isinstance(last, RunFinished):
        yield f"its row says {status}, its last fact is {type(last).__name__}"
    if status == "running":
        yield "it is still running although nothing is left to wait for"
    waiting = [form for form in found.forms if form.status is FormStatus.WAITING]
    if status == "paused" and not waiting:
        yield "it is paused with all its forms answered"
    if status in TERMINAL and waiting:
        yield f"it has ended and {len(waiting)} of its forms wait"


def _of_effects(found: Found, asked: Sequence[Asked]) -> Iterable[str]:
    """Every effect of the run carried the key of its node execution, and every finished effect node had one."""
    run_id = found.record.run_id
    calls: dict[str, set[str]] = defaultdict(set)
    for each in asked:
        if each.body.decode() == run_id:
            calls[each.target.strip("/")].add(each.headers.get("idempotency-key", ""))
    ended = {fact.node_id: fact for _, fact in found.facts if isinstance(fact, NodeFinished)}
    for node_id, keys in calls.items():
        if len(keys) != 1 or "" in keys:
            yield f"the effects of {node_id} carried {len(keys)} keys"
        elif node_id in ended and keys != {ended[node_id].execution_id}:
            yield f"the effect of {node_id} carried a key that is not its execution's"
    for node_id in ("before", "after"):
        if node_id in ended and ended[node_id].status == "succeeded" and node_id not in calls:
            yield f"{node_id} succeeded without its effect"


def _of_answers(seen: Transcript, found: Found) -> Iterable[str]:
    """An acknowledged answer counts, exactly once, as it was given."""
    taken: dict[str, list[FormSubmitted]] = defaultdict(list)
    for _, fact in found.facts:
        if isinstance(fact, FormSubmitted):
            taken[fact.form_id].append(fact)
    for form_id, given in _by_form(seen).items():
        accepted = [answer for answer in given if answer.status == 200]
        if len(accepted) > 1:
            yield f"{len(accepted)} answers to form {form_id} were accepted"
        if any(answer.status == 404 for answer in given):
            yield f"form {form_id} was unknown to the one who had its token"
        if len(taken[form_id]) > 1:
            yield f"form {form_id} was taken up {len(taken[form_id])} times"
        stored = found.submissions.get(form_id)
        for answer in accepted:
            if stored is None or stored.values.get("comment") != answer.comment:
                yield f"the accepted answer to form {form_id} is not the stored one"
            is_over = found.record.status == "stopped"
            values = [fact.values.get("comment") for fact in taken[form_id]]
            if not is_over and values != [answer.comment]:
                yield f"the accepted answer to form {form_id} was taken up as {values}"
    states = {form.form_id: form.status for form in found.forms}
    for form_id in {*seen.tokenless} - {answer.form_id for answer in seen.answers}:
        # Nobody else answers the forms of this reader's runs.
        if states.get(form_id) not in (FormStatus.EXPIRED, FormStatus.TIMEOUT):
            yield f"form {form_id} ({states.get(form_id)}) was never shown with its token"


def _by_form(seen: Transcript) -> dict[str, list[Any]]:
    by_form: dict[str, list[Any]] = defaultdict(list)
    for answer in seen.answers:
        by_form[answer.form_id].append(answer)
    return by_form


def _of_transcript(seen: Transcript, found: Found) -> Iterable[str]:
    """A reader got every fact once, in order, and the text without gap or repetition."""
    if not seen.is_complete:
        yield f"its reader never saw it end; the run is {found.record.status}"
        return
    positions = [position for position, _ in seen.events if position]
    doubles = [position for position, count in Counter(positions).items() if count > 1]
    if doubles:
        yield f"event {doubles[0]} was told {positions.count(doubles[0])} times"
    numbers = [int(position.partition(".")[0]) for position in positions]
    if numbers != sorted(numbers):
        yield "its events came out of order"
    names = Counter(event["event"] for _, event in seen.events)
    if names["workflow_finished"] != 1:
        yield f"its end was told {names['workflow_finished']} times"
    ended = Counter(event["data"]["id"] for _, event in seen.events if event["event"] == "node_finished")
    facts = {fact.execution_id for _, fact in found.facts if isinstance(fact, NodeFinished)}
    if set(ended) - facts:
        yield "it was told of the end of a node that the journal does not know"
    if found.record.status == "succeeded" and (missing := facts - set(ended)):
        yield f"it was not told of the end of {len(missing)} nodes"
    yield from (f"the end of node {each} was told {count} times" for each, count in ended.items() if count > 1)
    last = seen.events[-1][1]["data"]
    if last["status"] != found.record.status:
        yield f"its reader heard {last['status']}, its row says {found.record.status}"
    if seen.stop_status == 200 and found.record.status not in TERMINAL:
        yield f"its stop was confirmed and it is {found.record.status}"
    if found.record.status == "failed":
        yield f"it failed: {found.record.error}"
    if found.record.status == "succeeded":
        yield from _of_outputs(seen, last)


def _of_outputs(seen: Transcript, last: dict[str, Any]) -> Iterable[str]:
    outputs = last["outputs"]
    if outputs.get("topic") != seen.topic:
        yield f"it got the topic {outputs.get('topic')!r}"
    if "text" in outputs:
        told = _told_text(seen)
        if told.count(outputs["text"]) != 1:
            yield f"its reader has the text {told!r}, the run gave {outputs['text']!r}"


def _told_text(seen: Transcript) -> str:
    """Return the text that the reader has in the end; ``text_replace`` stands for all before it."""
    text = ""
    for _, event in seen.events:
        if event["event"] == "text_chunk":
            text += event["data"]["text"]
        elif event["event"] == "text_replace":
            text = event["data"]["text"]
    return text
