"""Has the webhooks of an app told what its runs do: the events of facts go into the outbox with those facts."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from graph.human_rules import Webhook
from hitl.webhook import event_of_fact
from store.outbox_record import OutboxEntry, new_webhooks
from store.run_record import JournalWrite, NewRun


class Announcer:
    """Makes the events of one run."""

    def __init__(self, run: NewRun, webhooks: Sequence[Webhook], hint: Callable[[], None]) -> None:
        """Prepare.

        Args:
            run: whose facts they are.
            webhooks: those of the app.
            hint: called when events are in the outbox, so that they leave at once.
        """
        self._run = run
        self._webhooks = webhooks
        self.hint = hint

    def added_to(self, write: JournalWrite) -> JournalWrite:
        """Return ``write`` with the events that its facts are; the same write gives the same events."""
        entries: list[OutboxEntry] = []
        for number, fact in enumerate(write.facts, write.head + 1):
            found = event_of_fact(fact)
            if found is not None:
                event, says = found
                targets = [(hook.url, hook.secret_env) for hook in self._webhooks if event in hook.events]
                about = {"app_id": self._run.app_id, "run_id": self._run.run_id, "number": number, **says}
                key = f"{self._run.run_id}:{number}"
                entries += new_webhooks(targets, event, key, fact.at, about, self._run.run_id)
        return replace(write, outbox=entries) if entries else write
