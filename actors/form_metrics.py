"""The figures of the HITL actors, as Ray shows them to Prometheus on every node, each behind ``ray_``.

    greenroom_open_forms               forms that wait for an answer; shown by the first HITL actor for all
    greenroom_form_decisions_total     answers and passed deadlines, by outcome and by the way the answer came; forms
                                       that ended with their run are not among them
    greenroom_form_decision_seconds    from opening to the answer
    greenroom_answers_not_resumed      runs whose inbox holds something for longer than STUCK_S; 0 when all is well
    greenroom_mails                    mails by state

A label is a word from a fixed list or the name of an actor, never a token, a person or an id.
"""

from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge, Histogram

STUCK_S = 5.0
"""A run that has not taken up what its inbox holds after so long counts as not resumed."""
BOUNDARIES_S = [1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0, 72 * 3600.0, 168 * 3600.0]


class FormMetrics:
    """The figures of one HITL actor. Only memory of this process is touched; Ray reports every few seconds."""

    def __init__(self, actor: str) -> None:
        """Prepare; does no I/O.

        Args:
            actor: the name of the HITL actor.
        """
        by_actor = ("actor",)
        self._open = Gauge("greenroom_open_forms", "Forms that wait for an answer.", by_actor)
        self._not_resumed = Gauge("greenroom_answers_not_resumed", "Runs that did not take up an answer.", by_actor)
        self._mails = Gauge("greenroom_mails", "Mails by state.", ("actor", "state"))
        self._decisions = Counter("greenroom_form_decisions", "Decided forms.", ("outcome", "via"))
        self._seconds = Histogram(
            "greenroom_form_decision_seconds", "Seconds from opening to the answer.", BOUNDARIES_S, ("via",)
        )
        for figure in (self._open, self._not_resumed, self._mails):
            figure.set_default_tags({"actor": actor})

    def show_open(self, count: int) -> None:
        """Show how many forms wait."""
        self._open.set(count)

    def show_not_resumed(self, count: int) -> None:
        """Show how many runs have not taken up what their inbox holds."""
        self._not_resumed.set(count)

    def show_mails(self, count_by_state: Mapping[str, int]) -> None:
        """Show how many mails are in each state; name every state, also with 0."""
        for state, count in count_by_state.items():
            self._mails.set(count, {"state": state})

    def count_answer(self, via: str, waited_s: float) -> None:
        """Count an answer that came ``via`` a surface, ``waited_s`` after its form was opened."""
        self._decisions.inc(1, {"outcome": "submitted", "via": via})
        self._seconds.observe(max(0.0, waited_s), {"via": via})

    def count_deadline(self, outcome: str) -> None:
        """Count a form whose deadline passed: ``timeout`` or ``expired``."""
        self._decisions.inc(1, {"outcome": outcome, "via": "system"})
