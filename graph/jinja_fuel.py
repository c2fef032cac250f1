"""What the work of a template costs while it renders: a budget, spent before each operation whose cost grows.

One unit stands for about a tenth of a microsecond: a loop pass, an element, sixteen characters. A template that
``graph.jinja_bounds`` admits does nothing that costs more than it spends here, so the whole render is bounded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

MAX_UNITS = 1_000_000
MAX_LOOP_PASSES = 100_000
_CHARACTERS_PER_UNIT_SHIFT = 4
_MAX_INT_BITS = 4096


class OutOfFuelError(Exception):
    """The work of a template went over its bound; ``reason`` says which. Never leaves ``graph.jinja_template``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Fuel:
    """The budget of one render."""

    __slots__ = ("passes", "units")

    def __init__(self, units: int = MAX_UNITS, passes: int = MAX_LOOP_PASSES) -> None:
        self.units = units
        self.passes = passes

    def spend(self, units: int) -> None:
        """Take ``units`` away.

        Raises:
            OutOfFuelError: fewer are left.
        """
        self.units -= units
        if self.units < 0:
            raise OutOfFuelError(f"more than {MAX_UNITS} units of work")

    def spend_characters(self, count: int) -> None:
        """Take away what ``count`` characters cost."""
        self.spend(1 + (count >> _CHARACTERS_PER_UNIT_SHIFT))

    def enter_loop(self, iterable: Any, weight: int) -> None:
        """Take away the passes over ``iterable``, each worth ``weight`` units."""
        try:
            passes = len(iterable)
        except TypeError:  # no length: the loop itself will say so, as Jinja2 does
            return
        except OverflowError:
            passes = MAX_LOOP_PASSES + 1
        self.passes -= passes
        if self.passes < 0:
            raise OutOfFuelError(f"more than {MAX_LOOP_PASSES} loop passes")
        self.spend(passes * weight)

    def weigh(self, value: Any) -> None:
        """Take away what walking the whole of ``value`` costs; stops as soon as the budget is used up."""
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                self.spend(1 + (len(item) >> _CHARACTERS_PER_UNIT_SHIFT))
            elif isinstance(item, dict):
                self.spend(1 + 2 * len(item))
                stack.extend(item.keys())
                stack.extend(item.values())
            elif isinstance(item, _SEQUENCES):
                self.spend(1 + len(item))
                stack.extend(item)
            elif isinstance(item, range):
                self.weigh_range(item)
            else:
                self.spend(1)

    def weigh_range(self, value: range) -> None:
        """Take away what walking a range costs."""
        try:
            self.spend(len(value))
        except OverflowError:
            raise OutOfFuelError("a range without a practical end") from None

    def weigh_shallow(self, value: Any) -> None:
        """Take away what copying the top level of ``value`` costs."""
        if isinstance(value, str):
            self.spend_characters(len(value))
        elif isinstance(value, list | tuple | dict):
            self.spend(1 + len(value))


_SEQUENCES = (list, tuple, type({}.keys()), type({}.values()), type({}.items()))
_current: ContextVar[Fuel] = ContextVar("_current")


def fuel() -> Fuel:
    """Return the budget of the render that is going on.

    Raises:
        LookupError: none is; Jinja2 then leaves an expression of constants to run time.
    """
    return _current.get()


@contextmanager
def fueled(budget: Fuel) -> Iterator[None]:
    """Make ``budget`` the one that ``fuel`` gives inside the block."""
    token = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(token)


def multiply_cost(left: Any, right: Any) -> None:
    """Spend what ``left * right`` costs; text and lists repeat, numbers must stay of practical size."""
    for repeated, times in ((left, right), (right, left)):
        if isinstance(repeated, str | list | tuple):
            if isinstance(times, int) and times > 0:
                length = len(repeated) * times
                if isinstance(repeated, str):
                    fuel().spend_characters(length)
                else:
                    fuel().spend(length)
                    fuel().weigh([list(repeated)] * min(times, MAX_UNITS))
            return
    check_int_size(left, right)


def power_cost(left: Any, right: Any) -> None:
    """Refuse ``left ** right`` where its digits could not be counted."""
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _MAX_INT_BITS:
        raise OutOfFuelError("integers of extreme size")


def check_int_size(*numbers: Any) -> None:
    """Refuse integers that only grow by repeated multiplication.

    Raises:
        OutOfFuelError: their product would have more digits than any counting needs.
    """
    if sum(number.bit_length() for number in numbers if isinstance(number, int)) > _MAX_INT_BITS:
        raise OutOfFuelError("integers of extreme size")
