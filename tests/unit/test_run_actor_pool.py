"""The pool's bookkeeping: who gets which run actor, who waits, whose lease is taken back."""

from itertools import count

import pytest

from actors.errors import QueueFullError
from actors.messages import LeaseRequest
from actors.pool import GRACE_S, USE_WITHIN_S, Pool

HOUR = 3600.0


def pool(size: int = 2, queue_limit: int = 10, runs_per_actor: int = 100, actors: int | None = None) -> Pool:
    """A pool with ``actors`` idle actors a0, a1, … (as many as its size unless said otherwise)."""
    ids = count(1)
    made = Pool(size, queue_limit, runs_per_actor, 15.0, lambda: f"lease-{next(ids)}")
    for number in range(size if actors is None else actors):
        made.add(f"a{number}", now=0.0)
    return made


def ask(pool: Pool, now: float = 0.0, **request) -> tuple[int, list[tuple[int, str]]]:
    """Ask for a lease; return the ticket and what is granted thereupon."""
    ticket = pool.ask(LeaseRequest(request.pop("holder", "h"), **request), now)
    return ticket, granted(pool, now)


def granted(pool: Pool, now: float = 0.0) -> list[tuple[int, str]]:
    """What is granted now: (ticket, actor)."""
    return [(grant.ticket, grant.lease.actor_name) for grant in pool.grants(now)]


def test_requests_are_served_in_order_when_actors_become_free():
    """Ten starts on a pool of two: two at a time, first come first served."""
    made = pool(size=2)
    tickets = [made.ask(LeaseRequest("h"), 0.0) for _ in range(10)]
    served = list(made.grants(0.0))
    order = []
    while served:
        grant = served.pop(0)
        order.append(grant.ticket)
        made.release(grant.lease.actor_name, grant.lease.lease_id, 1)
        served += made.grants(0.0)
        assert len(served) <= 2
    assert order == tickets


def test_start_is_refused_when_the_queue_is_full():
    """One more than may wait is refused at once and told how many wait."""
    made = pool(size=1, queue_limit=2)
    for _ in range(3):
        ask(made)
    with pytest.raises(QueueFullError) as caught:
        ask(made)
    assert caught.value.waiting_count == 2
    assert made.waiting_count == 2


def test_queue_limit_of_zero_still_serves_free_actors():
    """A queue of no length refuses only what cannot be served at once."""
    made = pool(size=1, queue_limit=0)
    assert ask(made)[1]
    with pytest.raises(QueueFullError):
        ask(made)


def test_runs_that_go_on_are_served_before_new_ones_and_never_refused():
    """What has begun comes first: resumes and recoveries pass the queue."""
    made = pool(size=1, queue_limit=1)
    ask(made)
    start, _ = ask(made)
    resume, _ = ask(made, continues=True)
    made.release("a0", "lease-1", 1)
    assert granted(made) == [(resume, "a0")]
    made.release("a0", "lease-2", 2)
    assert granted(made) == [(start, "a0")]


def test_lease_in_advance_is_taken_back_when_somebody_waits():
    """The longest held unused lease goes to a start that finds no free actor; its holder learns it at renewal."""
    made = pool(size=2)
    ask(made, holder="r1", in_advance=True)
    ask(made, holder="r2", in_advance=True)
    _, first = ask(made, holder="r3")
    assert first[0][1] == "a0"
    assert not made.renew("lease-1", 1.0)
    assert made.renew("lease-2", 1.0)


def test_holder_gets_one_lease_in_advance_and_only_when_nobody_waits():
    """A lease in advance never delays a start, and nobody holds two."""
    made = pool(size=2)
    ask(made, holder="r1", in_advance=True)
    assert ask(made, holder="r1", in_advance=True)[1] == []
    busy = pool(size=1)
    ask(busy)
    ahead, _ = ask(busy, holder="r1", in_advance=True)
    start, _ = ask(busy)
    busy.release("a0", "lease-1", 1)
    assert granted(busy) == [(start, "a0")]
    busy.release("a0", "lease-2", 2)
    assert granted(busy) == [(ahead, "a0")]


def test_used_lease_in_advance_is_not_taken_back():
    """A holder that says it has used its lease keeps the actor until the release."""
    made = pool(size=1)
    ask(made, holder="r1", in_advance=True)
    _, grants = ask(made, holder="r1", in_advance=True, used="lease-1")
    assert grants == []
    waiting, grants = ask(made, holder="r2")
    assert grants == []
    made.release("a0", "lease-1", 1)
    assert granted(made) == [(waiting, "a0")]


def test_refused_asker_is_served_first_after_the_run_that_refused_it():
    """Who met a busy actor does not lose its turn, and the actor is not given out again before it is free."""
    made = pool(size=1)
    ask(made, holder="r1", in_advance=True)
    ask(made, holder="r2")
    other, _ = ask(made, holder="r3")
    again, grants = ask(made, holder="r2", refused="lease-2")
    assert grants == []
    made.release("a0", "lease-1", 1)
    assert granted(made) == [(again, "a0")]
    made.release("a0", "lease-3", 2)
    assert granted(made) == [(other, "a0")]


def test_refused_asker_is_served_at_once_when_the_release_came_before():
    """The release of the run that was in the way may overtake the refusal."""
    made = pool(size=1)
    ask(made, holder="r1", in_advance=True)
    ask(made, holder="r2")
    made.release("a0", "lease-1", 1)
    assert granted(made) == []
    again, grants = ask(made, holder="r2", refused="lease-2")
    assert grants == [(again, "a0")]


def test_actor_is_replaced_after_its_runs():
    """The release of the last run says so; a successor is brought up shortly before."""
    made = pool(size=1, runs_per_actor=10)
    assert not made.is_nearly_served(7)
    assert made.is_nearly_served(8)
    assert not made.release("a0", "", 9)
    assert made.release("a0", "", 10)
    made.remove("a0")
    assert made.missing_count == 1


def test_ping_frees_an_actor_whose_lease_was_never_used():
    """An idle answer counts once the lease has run out, and not while its call may be on the way."""
    made = pool(size=1)
    ask(made)
    waiting, _ = ask(made)
    made.note_ping("a0", "", 0, now=USE_WITHIN_S - 1)
    assert granted(made) == []
    made.note_ping("a0", "", 0, now=USE_WITHIN_S)
    assert granted(made, USE_WITHIN_S) == [(waiting, "a0")]


def test_ping_corrects_a_lost_release_and_a_lost_start():
    """What an actor says of itself counts more than what is believed."""
    made = pool(size=1)
    made.note_ping("a0", "run", 3, now=1.0)
    waiting, grants = ask(made, 1.0)
    assert grants == []
    made.note_ping("a0", "", 4, now=1.0 + GRACE_S)
    assert granted(made, 1.0 + GRACE_S) == [(waiting, "a0")]


def test_unused_lease_in_advance_runs_out_when_not_renewed():
    """The lease of a process that died comes back."""
    made = pool(size=1)
    ask(made, holder="r1", in_advance=True)
    assert made.renew("lease-1", 10.0)
    made.note_ping("a0", "", 0, now=20.0)
    ahead, grants = ask(made, 20.0, holder="r2", in_advance=True)
    assert grants == []
    made.note_ping("a0", "", 0, now=25.0)
    assert granted(made, 25.0) == [(ahead, "a0")]


def test_request_is_forgotten_when_its_asker_goes():
    """A cancelled request takes no actor, and a lease that did not reach it comes back."""
    made = pool(size=1)
    ask(made)
    gone, _ = ask(made)
    made.cancel(gone)
    made.release("a0", "lease-1", 1)
    assert granted(made) == []
    ask(made)
    made.give_back("lease-2")
    assert ask(made)[1][0][1] == "a0"


def test_adopted_actor_is_busy_until_it_says_otherwise():
    """A restarted supervisor leases no actor that executes a run."""
    made = pool(size=2, actors=0)
    made.add("a0", 0.0, runs_served=5, run_id="run")
    made.add("a1", 0.0)
    assert ask(made)[1][0][1] == "a1"
    assert ask(made)[1] == []


def test_dead_actor_is_dropped():
    """A removed actor is leased no more, and its late release is nothing."""
    made = pool(size=1)
    ask(made)
    made.remove("a0")
    assert "a0" not in made
    assert not made.release("a0", "lease-1", 100)
    assert ask(made)[1] == []
