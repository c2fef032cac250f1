"""Keeps Python's cycle collector quiet while something large is built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Have no search for garbage cycles within; also decorates functions. May be nested, and used in many threads.

    A workflow of ten thousand nodes becomes a million objects that stay. The collector would search all of them again
    whenever they have grown by a quarter, which takes three times as long as making them.
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()
