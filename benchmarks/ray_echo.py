"""A Serve application that only calls an actor: the least that could answer what Greenroom answers."""

from fastapi import FastAPI, Request
from ray import serve
from ray.actor import ActorHandle
from ray.serve import Application

_routes = FastAPI()


@serve.deployment(name="Echo", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
@serve.ingress(_routes)
class Echo:
    """Gives back what it gets, by way of an actor."""

    def __init__(self, actor: ActorHandle) -> None:
        self._actor = actor

    @_routes.post("/")
    async def echo(self, request: Request) -> dict:
        """Give the body back."""
        return await self._actor.echo.remote(await request.json())


def echo_application(actor: ActorHandle) -> Application:
    """Return the Serve application over ``actor``."""
    return Echo.bind(actor)  # pyrefly: ignore[missing-attribute]
