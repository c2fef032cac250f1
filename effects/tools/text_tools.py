"""Regular expressions and arithmetic. Both can run for ever on a few characters, so they run in the code sandbox."""

import json

from effects.tools.errors import ToolFailedError
from effects.tools.parameters import Parameters
from graph.ports import CodeSandbox, ToolMessage

_FIND_ALL = """
import re

def main(content: str, expression: str) -> dict:
    return {"matches": [list(m) if isinstance(m, tuple) else m for m in re.findall(expression, content)]}
"""
_EVALUATE = """
import math

def main(expression: str) -> dict:
    names = {name: getattr(math, name) for name in dir(math) if not name.startswith("_")}
    names.update(abs=abs, min=min, max=max, round=round, sum=sum, pow=pow)
    names["__builtins__"] = {}
    return {"value": eval(expression, names)}
"""


async def regex_extract(parameters: Parameters, sandbox: CodeSandbox) -> list[ToolMessage]:
    """Give all that ``expression`` finds in ``content``, as a JSON list of texts (of lists, where it has groups)."""
    inputs = {"content": parameters.text("content"), "expression": parameters.text("expression")}
    found = await sandbox.run_code("python3", _FIND_ALL, inputs)
    matches = found.get("matches")
    return [
        ToolMessage("text", json.dumps(matches, ensure_ascii=False)),
        ToolMessage("variable", matches, "result"),
    ]


async def eval_expression(parameters: Parameters, sandbox: CodeSandbox) -> list[ToolMessage]:
    """Give the value of the arithmetic ``expression``, with the functions of Python's math module."""
    found = await sandbox.run_code("python3", _EVALUATE, {"expression": parameters.text("expression").strip()})
    value = found.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolFailedError(parameters.tool, "the expression has no number as its value")
    return [ToolMessage("text", str(value)), ToolMessage("variable", value, "result")]
