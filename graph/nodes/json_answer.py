"""Finds the JSON object in what a model wrote: fenced, wrapped in prose, cut off or slightly wrong."""

import asyncio
import json
import re
from typing import Any

from graph.nodes.reasoning import without_reasoning

_decoder = json.JSONDecoder()
_BRACE = re.compile(r"\{")
MAX_STARTS = 64
"""How many opening braces are tried."""
MAX_REPAIR_CHARS = 16_000
"""How long a text may be to be repaired: the time for some texts grows with the square of their length."""


async def json_object_in(text: str) -> dict[str, Any] | None:
    """Return the first JSON object in ``text``, repaired if none is whole, or None.

    Thoughts between ``<think>`` and ``</think>`` do not count. A list stands for its first object.
    """
    text = without_reasoning(text)
    starts = [match.start() for match, _ in zip(_BRACE.finditer(text), range(MAX_STARTS), strict=False)]
    for start in starts:
        try:
            found, _ = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        return found
    if not starts or len(text) - starts[0] > MAX_REPAIR_CHARS:
        return None
    return await asyncio.to_thread(_repaired, text[starts[0] :])


def _repaired(text: str) -> dict[str, Any] | None:
    import json_repair  # 40 ms that a process without broken answers need not pay

    try:
        found = json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):
        found = next((item for item in found if isinstance(item, dict)), None)
    return found if isinstance(found, dict) and found else None
