"""The named actors are brought up once, and again only when one is gone for good."""

import pytest

from actors.errors import ActorAwayError
from actors.kept_actors import KeptActors
from actors.settings import Settings


class Ray:
    """What Ray knows. ``missing``: the names it does not; ``started``: how often actors were brought up."""

    def __init__(self) -> None:
        self.missing: set[str] = {"hitl-actor"}
        self.started = 0
        self.refusal: Exception | None = None

    async def start(self, settings: Settings) -> None:
        """Bring up what is missing."""
        self.started += 1
        if self.refusal is not None:
            raise self.refusal
        self.missing = set()

    def find_missing(self, settings: Settings) -> set[str]:
        """Return what is missing."""
        return set(self.missing)


@pytest.fixture
def ray() -> Ray:
    """A Ray without actors."""
    return Ray()


@pytest.fixture
def kept(ray: Ray) -> KeptActors:
    """Looks after the actors of ``ray``."""
    return KeptActors(Settings(), ray.start, ray.find_missing)


async def test_actors_are_started_once(ray: Ray, kept: KeptActors) -> None:
    """While nothing is missing, further looks make nothing."""
    for _ in range(3):
        await kept.look()
    assert ray.started == 1


async def test_actor_that_is_gone_for_good_is_made_anew(ray: Ray, kept: KeptActors) -> None:
    """Missing at one look may be a deployment; missing at two looks in a row is gone."""
    await kept.look()
    ray.missing = {"hitl-actor"}
    await kept.look()
    assert ray.started == 1
    await kept.look()
    assert (ray.started, ray.missing) == (2, set())


async def test_actor_that_is_replaced_is_left_alone(ray: Ray, kept: KeptActors) -> None:
    """Different actors may be missing at different looks."""
    for name in ("", "hitl-actor", "courier", "run-supervisor"):
        ray.missing = {name} - {""}
        await kept.look()
    assert ray.started == 1


async def test_failed_start_is_repeated_at_the_next_look(ray: Ray, kept: KeptActors) -> None:
    """Until the actors have come up once, each look tries to bring them up."""
    ray.refusal = ActorAwayError("courier")
    with pytest.raises(ActorAwayError):
        await kept.look()
    ray.refusal = None
    await kept.look()
    await kept.look()
    assert ray.started == 2
