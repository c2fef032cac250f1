"""Jinja2 text, compiled once, rendered in process only where its cost is bounded.

Semantics are those of Dify: plain Jinja2 defaults, undefined prints empty, one trailing line break is dropped,
null prints ``None``. A template that ``graph.jinja_bounds`` refuses, or whose inputs make more work than the
budget of ``graph.jinja_fuel``, is for the code sandbox.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Template as CompiledJinja
from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.defaults import DEFAULT_NAMESPACE

from graph.errors import NodeError
from graph.jinja_bounds import BoundedEnvironment, UnboundedError, bound
from graph.jinja_fuel import Fuel, OutOfFuelError, fueled

MAX_OUTPUT_CHARACTERS = 400_000
SANDBOX_REQUIRED = "SandboxRequired"
"""Error type of a template that cannot render in process: ``graph.ports.CodeSandbox`` renders it."""

_environment = BoundedEnvironment()
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_PRINT = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_OTHER_MARK = re.compile(r"\{[{%#]")
_NO_PLAIN_NAMES = frozenset(
    {"true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else", "self"}
) | frozenset(DEFAULT_NAMESPACE)
_RENDER_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class JinjaTemplate:
    """A compiled Jinja2 text. A fault in it shows at ``render``, as a draft with it may be saved and run."""

    __slots__ = ("_compiled", "_fault", "_plain", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._plain = _plain_parts(source)
        self._compiled: CompiledJinja | None = None
        self._fault: NodeError | None = None

    def __repr__(self) -> str:
        return f"JinjaTemplate({self.source!r})"

    def render(self, values: Mapping[str, Any], limit: int = MAX_OUTPUT_CHARACTERS) -> str:
        """Return the text with ``values`` (name -> JSON value) filled in.

        Raises:
            NodeError: the template has a fault, fails, needs the sandbox, or gives more than ``limit`` characters.
        """
        if self._plain is not None:
            text = "".join([part if is_text else str(values.get(part, "")) for is_text, part in self._plain])
            if len(text) > limit:
                raise too_long(limit)
            return text
        if self._compiled is None:
            self._compile()
        if self._fault is not None:
            raise NodeError(self._fault.message, self._fault.error_type)
        assert self._compiled is not None
        return _render(self._compiled, values, limit)

    def _compile(self) -> None:
        # At the first render: ten thousand nodes must compile in a second, and most of them never run.
        try:
            self._compiled = _environment.from_string(bound(_environment.parse(self.source)))
        except UnboundedError as error:
            self._fault = _needs_sandbox(str(error))
        except TemplateSyntaxError as error:
            self._fault = NodeError(
                f"the template has a fault at line {error.lineno}: {error.message}", "TemplateSyntaxError"
            )
        except (SyntaxError, ValueError) as error:  # of the Python that Jinja2 makes, and of endless number literals
            self._fault = NodeError(f"the template cannot be compiled: {error}", "TemplateSyntaxError")
        except RecursionError:
            self._fault = _needs_sandbox("nesting of extreme depth at line 1")


def _plain_parts(source: str) -> tuple[tuple[bool, str], ...] | None:
    """Return (is text, text or name) pieces of a template that only prints names; None for any other.

    Such a template costs what its output costs, and renders without Jinja2.
    """
    lines = _LINE_BREAK.split(source)
    if not lines[-1]:
        lines.pop()
    pieces = _PRINT.split("\n".join(lines))
    texts, names = pieces[::2], pieces[1::2]
    if any(text.endswith("{") for text in texts[:-1]):  # "{{{ name }}" is a mark and a brace to Jinja2
        return None
    if any(_OTHER_MARK.search(text) for text in texts) or not _NO_PLAIN_NAMES.isdisjoint(names):
        return None
    parts = ((index % 2 == 0, piece) for index, piece in enumerate(pieces))
    return tuple(part for part in parts if part[1])


def _render(compiled: CompiledJinja, values: Mapping[str, Any], limit: int) -> str:
    with fueled(Fuel()):
        try:
            return _collect(compiled.root_render_func(compiled.new_context(dict(values))), limit)
        except OutOfFuelError as error:
            raise _needs_sandbox(error.reason) from error
        except _RENDER_ERRORS as error:
            raise NodeError(f"the template failed: {error}", type(error).__name__) from error


def _collect(pieces: Iterable[str], limit: int) -> str:
    out: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > limit:
            raise too_long(limit)
        out.append(piece)
    return "".join(out)


def too_long(limit: int) -> NodeError:
    """Return the error of a text with more than ``limit`` characters."""
    return NodeError(f"Output length exceeds {limit} characters", "TemplateOutputTooLong")


def _needs_sandbox(reason: str) -> NodeError:
    return NodeError(f"this template needs the code sandbox: {reason}", SANDBOX_REQUIRED)
