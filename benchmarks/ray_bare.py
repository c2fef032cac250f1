"""An actor that does nothing, in a process without anything of ours: what Ray itself costs."""

import os

import ray
from ray.actor import ActorHandle


class Bare:
    """An actor that gives back what it gets."""

    async def echo(self, body: dict) -> dict:
        """Give ``body`` back. May be called twice; nothing is durable."""
        return body

    async def process_id(self) -> int:
        """Return the id of this process. May be called twice; nothing is durable."""
        return os.getpid()


def bare_actor() -> ActorHandle:
    """Return a bare actor of its own process."""
    return ray.remote(Bare).options(num_cpus=0).remote()
