"""Reads text that is nearly JSON: quotes, commas or brackets are missing. Bounded in work, whatever the text is.

The library that repairs needs cubic time for some texts, and strangers choose them. Its work is counted in calls, not
in seconds, so the same text always has the same outcome.
"""

import json
import sys
from types import FrameType
from typing import Any, Final

MAX_REPAIR_CHARS: Final = 1_000_000
MAX_REPAIR_CALLS: Final = 500_000
"""About a second; a text of 100,000 characters with a few faults needs a fifth of it."""


class _WorkUsedUp(Exception):
    """Leaves the library; never leaves this module."""


def repaired_json(text: str) -> Any:
    """Return what ``text`` means as JSON; call it beside an event loop, not in one.

    Raises:
        ValueError: it means nothing, or finding out takes too much work.
    """
    if len(text) > MAX_REPAIR_CHARS:
        raise ValueError("the text is too long to be repaired")
    from json_repair import repair_json  # 40 ms that a process without broken answers need not pay

    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > MAX_REPAIR_CALLS:
            raise _WorkUsedUp

    before = sys.gettrace()
    sys.settrace(count)  # of this thread only
    try:
        repaired = repair_json(text)
    except _WorkUsedUp:
        raise ValueError("repairing the text takes too much work") from None
    except RecursionError as error:
        raise ValueError("the text is nested too deeply to be repaired") from error
    finally:
        sys.settrace(before)
    try:
        return json.loads(repaired, strict=False)
    except RecursionError as error:
        raise ValueError("the text is nested too deeply to be repaired") from error
