"""Environment and conversation variables of a file, checked as Dify checks them when it imports.

Source: dify 1.14.2 factories/variable_factory.py (spec/graph.md 1.1).
"""

import sys
from collections.abc import Callable
from typing import Any

from graph.value_types import ValueType, is_valid
from graph.workflow import Fault, Variable

MAX_DESCRIPTION_CHARACTERS = 255
MAX_VARIABLE_BYTES = 200 * 1024

_CONVERSATION_TYPES = frozenset(
    {
        ValueType.STRING, ValueType.NUMBER, ValueType.INTEGER, ValueType.FLOAT, ValueType.BOOLEAN, ValueType.OBJECT,
        ValueType.ARRAY_STRING, ValueType.ARRAY_NUMBER, ValueType.ARRAY_OBJECT, ValueType.ARRAY_BOOLEAN,
    }
)  # fmt: skip
_ENVIRONMENT_TYPES = _CONVERSATION_TYPES | {ValueType.SECRET}


def parse_environment(items: Any, path: str, add: Callable[[Fault], None]) -> tuple[Variable, ...]:
    """Return the environment variables of a file; each fault goes to ``add``."""
    return _parse_all(items, path, _ENVIRONMENT_TYPES, add)


def parse_conversation(items: Any, path: str, add: Callable[[Fault], None]) -> tuple[Variable, ...]:
    """Return the conversation variables of a file; each fault goes to ``add``."""
    return _parse_all(items, path, _CONVERSATION_TYPES, add)


def _parse_all(
    items: Any, path: str, allowed: frozenset[ValueType], add: Callable[[Fault], None]
) -> tuple[Variable, ...]:
    if items is None:
        return ()
    if not isinstance(items, list):
        add(Fault(path, "must be a list", "import"))
        return ()
    found = [_parse_one(item, f"{path}[{index}]", allowed, add) for index, item in enumerate(items)]
    return tuple(variable for variable in found if variable is not None)


def _parse_one(item: Any, path: str, allowed: frozenset[ValueType], add: Callable[[Fault], None]) -> Variable | None:
    if not isinstance(item, dict):
        add(Fault(path, "must be a mapping", "import"))
        return None
    fault = _fault_of(item, allowed)
    if fault is not None:
        field, message = fault
        add(Fault(f"{path}.{field}", message, "import"))
        return None
    value, value_type = item["value"], item["value_type"]
    if value_type == ValueType.NUMBER:
        value_type = ValueType.FLOAT if isinstance(value, float) else ValueType.INTEGER
    return Variable(item["name"], str(value_type), value, item.get("description") or "", str(item.get("id") or ""))


def _fault_of(item: dict[str, Any], allowed: frozenset[ValueType]) -> tuple[str, str] | None:
    """Return (field, message) of the first thing wrong with a variable; its value is never in the message."""
    name, value_type, value = item.get("name"), item.get("value_type"), item.get("value")
    description = item.get("description")
    if not isinstance(name, str) or not name:
        return "name", "is missing"
    if value_type is None:
        return "value_type", f"of {name!r} is missing"
    if value_type not in allowed:
        return "value_type", f"of {name!r} is {value_type!r}, which a variable cannot have"
    if value is None:
        return "value", f"of {name!r} is missing"
    if isinstance(value, bool) and value_type in (ValueType.NUMBER, ValueType.INTEGER, ValueType.FLOAT):
        return "value", f"of {name!r} is no {value_type}"
    if not is_valid(value, value_type):
        return "value", f"of {name!r} is no {value_type}"
    if sys.getsizeof(value) > MAX_VARIABLE_BYTES:
        return "value", f"of {name!r} is larger than {MAX_VARIABLE_BYTES // 1024} KiB"
    if description is not None and not isinstance(description, str):
        return "description", f"of {name!r} must be text"
    if description is not None and len(description) > MAX_DESCRIPTION_CHARACTERS:
        return "description", f"of {name!r} is longer than {MAX_DESCRIPTION_CHARACTERS} characters"
    return None
