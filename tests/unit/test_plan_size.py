"""What keeps large workflows cheap to read and compile."""

import gc
from itertools import pairwise

import pytest

from factories import answer, assigner, edge, plan, start
from graph.uncollected import uncollected


def test_garbage_is_not_searched_while_something_is_built() -> None:
    """Within, the collector is off, also behind a nested use and an error; afterwards it is as it was."""
    assert gc.isenabled()
    with uncollected():
        with pytest.raises(ValueError, match="within"), uncollected():
            raise ValueError("within")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_answers_behind_the_same_edges_share_what_holds_them_back() -> None:
    """Each answer waits for the branches, answers and writers before it; equal sets of edges are one object."""
    names = [f"a{number}" for number in range(20)]
    write = assigner("set", (["conversation", "mood"], "over-write", "good"))
    said = [*(answer(name, "hi {{#start.q#}}") for name in names), answer("last", "{{#conversation.mood#}}")]
    path = ["start", "set", *names, "last"]
    made = plan([start("q"), write, *said], [edge(*pair) for pair in pairwise(path)], "advanced-chat")
    first, *others, last = made.top.responses
    behind_answers = set(range(2, len(path) - 1))
    assert all(response.blocking is first.blocking for response in others)
    assert (set(first.blocking), set(last.blocking)) == (behind_answers, {1, *behind_answers})
    assert (first.is_ready_at_start, others[0].is_ready_at_start, last.is_ready_at_start) == (True, False, False)
