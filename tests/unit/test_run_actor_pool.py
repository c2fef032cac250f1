"""The pool's bookkeeping: who gets which run actor, who waits, whose lease is taken back."""

from itertools import count

import pytest

from actors.errors import QueueFullError
from actors.messages import LeaseRequest
from actors.pool import Pool, limit_of, spare_mark

TTL_S = 15.0


def pool(size: int = 2, queue_limit: int = 10, runs_per_actor: int = 100, actors: int | None = None) -> Pool:
    """A pool with ``actors`` idle actors a0, a1, … (as many as its size unless said otherwise)."""
    ids = count(1)
    made = Pool(size, queue_limit, runs_per_actor, TTL_S, lambda: f"lease-{next(ids)}")
    for number in range(size if actors is None else actors):
        made.add(f"a{number}", now=0.0)
    return made


def ask(pool: Pool, now: float = 0.0, holder: str = "h", **request: bool) -> tuple[int, list[tuple[int, str]]]:
    """Ask for a lease; return the ticket and what is granted thereupon."""
    ticket = pool.ask(LeaseRequest(holder, **request))
    return ticket, granted(pool, now)


def granted(pool: Pool, now: float = 0.0) -> list[tuple[int, str]]:
    """What is granted now: (ticket, actor)."""
    return [(grant.ticket, grant.lease.actor_name) for grant in pool.grants(now)]


def recalls(pool: Pool) -> list[str]:
    """The ids of the leases that are to be recalled."""
    return [lease.lease_id for lease in pool.recalls()]


def test_requests_are_served_in_order_when_actors_become_free():
    """Ten starts on a pool of two: two at a time, first come first served."""
    made = pool(size=2)
    tickets = [made.ask(LeaseRequest("h")) for _ in range(10)]
    served = list(made.grants(0.0))
    order = []
    while served:
        grant = served.pop(0)
        order.append(grant.ticket)
        made.give_back(grant.lease.lease_id)
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


def test_queue_limit_of_zero_still_serves_what_is_free():
    """A queue of no length refuses only what can be served neither at once nor by a recall."""
    made = pool(size=1, queue_limit=0)
    assert ask(made, holder="r1")[1]
    ask(made, holder="r2")
    with pytest.raises(QueueFullError):
        ask(made, holder="r2")


def test_runs_that_go_on_are_served_before_new_ones_and_never_refused():
    """What has begun comes first: resumes and recoveries pass the queue."""
    made = pool(size=1, queue_limit=1)
    ask(made)
    start, _ = ask(made)
    resume, _ = ask(made, continues=True)
    made.give_back("lease-1")
    assert granted(made) == [(resume, "a0")]
    made.give_back("lease-2")
    assert granted(made) == [(start, "a0")]


def test_longest_held_lease_is_recalled_when_somebody_waits():
    """An idle actor is free at once; its former holder learns it when it renews."""
    made = pool(size=2)
    ask(made, holder="r1", in_advance=True)
    ask(made, holder="r2", in_advance=True)
    waiting, _ = ask(made, holder="r3")
    assert recalls(made) == ["lease-1"]
    assert recalls(made) == []
    made.recalled("lease-1", is_idle=True, now=0.0)
    assert granted(made) == [(waiting, "a0")]
    assert made.renew(["lease-1", "lease-2"], 1.0) == ["lease-2"]


def test_recalled_actor_is_free_when_its_run_ends():
    """A lease that is taken back in the middle of a run frees the actor after that run."""
    made = pool(size=1)
    ask(made, holder="r1")
    waiting, _ = ask(made, holder="r2")
    made.recalled(recalls(made)[0], is_idle=False, now=0.0)
    assert granted(made) == []
    made.release("a0", "lease-1", 1)
    assert granted(made) == [(waiting, "a0")]


def test_no_more_leases_are_recalled_than_are_wanted():
    """Each waiting request takes one back, and none for itself or for a lease in advance."""
    made = pool(size=3)
    for holder in ("r1", "r2", "r3"):
        ask(made, holder=holder)
    ask(made, holder="r4", in_advance=True)
    assert recalls(made) == []
    ask(made, holder="r1")
    assert recalls(made) == ["lease-2"]
    ask(made, holder="r5")
    assert recalls(made) == ["lease-1"]


def test_holder_gets_one_lease_in_advance_and_only_when_nobody_waits():
    """A lease in advance never delays a start, and nobody holds two."""
    made = pool(size=2)
    ask(made, holder="r1", in_advance=True)
    assert ask(made, holder="r1", in_advance=True)[1] == []
    busy = pool(size=1)
    ask(busy)
    ahead, _ = ask(busy, holder="r1", in_advance=True)
    start, _ = ask(busy)
    busy.give_back("lease-1")
    assert granted(busy) == [(start, "a0")]
    busy.give_back("lease-2")
    assert granted(busy) == [(ahead, "a0")]


def test_abandoned_lease_is_recalled_once():
    """A holder that does not know what its actor does gives the lease up; the actor is asked."""
    made = pool(size=1)
    ask(made)
    lease = made.give_up("lease-1")
    assert lease is not None
    assert lease.actor_name == "a0"
    assert made.give_up("lease-1") is None
    assert made.give_up("lease-9") is None
    made.recalled("lease-1", is_idle=True, now=0.0)
    assert ask(made)[1][0][1] == "a0"


def test_actor_is_replaced_after_its_runs():
    """The release of the last run says so; a successor is brought up shortly before."""
    made = pool(size=1, runs_per_actor=10)
    assert spare_mark(10) == 8
    limit = limit_of("a0", 10)
    assert not made.release("a0", "", limit - 1)
    assert made.release("a0", "", limit)
    made.remove("a0")
    assert made.missing_count == 1


def test_actors_that_came_up_together_are_not_replaced_together():
    """Each has a limit of its own, close below the configured one; few runs are kept to exactly."""
    limits = {limit_of(f"run-actor-{number}", 10_000) for number in range(100)}
    assert len(limits) > 90
    assert all(7_500 <= limit <= 10_000 for limit in limits)
    assert [limit_of("run-actor-7", few) for few in (1, 2, 3)] == [1, 2, 3]


def test_release_without_a_lease_leaves_the_actor_to_its_holder():
    """An actor that only tells how much it has served stays leased."""
    made = pool(size=1)
    ask(made)
    made.release("a0", "", 8)
    assert ask(made)[1] == []


def test_lease_runs_out_when_its_holder_is_gone():
    """A lease that is not renewed lasts its time; then the ping decides what its actor is."""
    made = pool(size=1)
    ask(made, holder="r1", in_advance=True)
    assert made.renew(["lease-1"], 10.0)
    waiting, _ = ask(made, 20.0, holder="r1")
    made.note_ping("a0", "", 0, now=24.0)
    assert granted(made, 24.0) == []
    made.note_ping("a0", "", 0, now=25.0)
    assert granted(made, 25.0) == [(waiting, "a0")]


def test_ping_corrects_a_lost_release():
    """What an actor says of itself counts more than what is believed."""
    made = pool(size=1, actors=0)
    made.add("a0", 0.0, runs_served=5, run_id="run")
    waiting, _ = ask(made)
    made.note_ping("a0", "run", 5, now=1.0)
    assert granted(made) == []
    made.note_ping("a0", "", 6, now=2.0)
    assert granted(made) == [(waiting, "a0")]


def test_request_is_forgotten_when_its_asker_goes():
    """A cancelled request takes no actor."""
    made = pool(size=1)
    ask(made)
    gone, _ = ask(made)
    made.cancel(gone)
    made.give_back("lease-1")
    assert granted(made) == []


def test_adopted_actor_is_busy_until_it_says_otherwise():
    """A restarted supervisor leases no actor that executes a run."""
    made = pool(size=2, actors=0)
    made.add("a0", 0.0, runs_served=5, run_id="run")
    made.add("a1", 0.0)
    assert ask(made)[1][0][1] == "a1"
    assert ask(made)[1] == []


def test_dead_actor_is_dropped():
    """A removed actor is leased no more, and its late words are nothing."""
    made = pool(size=1)
    ask(made)
    made.remove("a0")
    assert "a0" not in made
    assert not made.release("a0", "lease-1", 100)
    made.recalled("lease-1", is_idle=True, now=0.0)
    made.note_ping("a0", "", 1, now=0.0)
    assert ask(made)[1] == []
