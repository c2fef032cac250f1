"""Which Jinja2 constructs may render in process: those whose cost can be bounded before they run.

``bound`` walks the syntax tree of a template. What can blow up without a bound (macros, recursion, inclusion,
 namespaces, unknown filters and calls) is refused by name and line; where cost depends on the inputs
(loops, concatenation, comparison, copies) it puts a call into the tree that spends the budget of
``graph.jinja_fuel``. ``BoundedEnvironment`` spends it for filters, methods and operators.
"""

from collections.abc import Callable
from functools import wraps
from inspect import isgenerator
from itertools import islice
from typing import Any, NoReturn, cast

from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from graph.jinja_fuel import MAX_UNITS, OutOfFuelError, check_int_size, fuel, multiply_cost, power_cost

_LOOP, _CONCAT, _WEIGH, _COPY = "loop()", "concat()", "weigh()", "copy()"  # no template can write such names

_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.Filter, nodes.Test, nodes.Call, nodes.Keyword, nodes.If, nodes.For, nodes.With, nodes.Assign,
    nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Compare, nodes.Operand, nodes.Concat,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Pow,
)  # fmt: skip
_CONSTRUCTS: dict[type[nodes.Node], str] = {
    nodes.Macro: "a macro", nodes.CallBlock: "a call block", nodes.Include: "an include",
    nodes.Import: "an import", nodes.FromImport: "an import", nodes.Extends: "extends", nodes.Block: "a block",
    nodes.FilterBlock: "a filter block", nodes.AssignBlock: "a set block", nodes.NSRef: "a namespace",
}  # fmt: skip
_UNBOUNDED_GLOBALS = frozenset({"dict", "lipsum", "cycler", "joiner", "namespace", "self", "range"})
_FILTERS = frozenset(
    "abs batch capitalize center count d default dictsort e escape filesizeformat first float forceescape groupby "
    "indent int items join last length list lower map max min reject rejectattr replace reverse round safe select "
    "selectattr slice sort string sum title tojson trim truncate unique upper urlencode wordcount".split()
)
_CHEAP_FILTERS = frozenset("abs count d default first float last length safe".split())
_HEAVY_FILTERS = frozenset({"list", "wordcount", "tojson", "sort", "unique", "groupby", "dictsort", "batch", "slice"})
_COMPARING_TESTS = frozenset("== eq equalto != ne < lt lessthan <= le > gt greaterthan >= ge in lower upper".split())
_TESTS = _COMPARING_TESTS | frozenset(
    "boolean defined divisibleby even false float integer iterable mapping none number odd sameas sequence string "
    "true undefined".split()
)
_NAMING_FILTERS = {"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
"""Filters that take the name of a filter or test, and at which place."""
_CHEAP_METHODS = frozenset("get items keys values startswith endswith cycle".split())
_METHODS = _CHEAP_METHODS | frozenset(
    "upper lower strip lstrip rstrip split rsplit splitlines title capitalize swapcase casefold find rfind index "
    "rindex count replace join isdigit isalpha isalnum isnumeric isdecimal isspace isupper islower istitle "
    "removeprefix removesuffix partition rpartition zfill ljust rjust center changed".split()
)


class UnboundedError(Exception):
    """A template has a construct whose cost has no bound. Never leaves ``graph.jinja_template``."""

    def __init__(self, construct: str, line: int) -> None:
        super().__init__(construct, line)
        self.construct = construct
        self.line = line

    def __str__(self) -> str:
        return f"{self.construct} at line {self.line}"


def bound(tree: nodes.Template) -> nodes.Template:
    """Return ``tree`` with its costs spent from the budget.

    Raises:
        UnboundedError: a construct has no bound.
    """
    return _Bounder().visit(tree)


class _Bounder(NodeTransformer):
    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(node, _ALLOWED_NODES):
            _refuse(_CONSTRUCTS.get(type(node), type(node).__name__), node)
        return super().visit(node, *args, **kwargs)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.ctx == "load" and node.name in _UNBOUNDED_GLOBALS:
            _refuse(f"{node.name!r}", node)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            _refuse("a recursive loop", node)
        self.generic_visit(node)
        weight = sum(1 for part in (*node.body, *([node.test] if node.test else [])) for _ in part.find_all(nodes.Node))
        node.iter = _call(_LOOP, node.iter, nodes.Const(max(1, weight)))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call(_CONCAT, nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _weighed(node.expr)
        for operand in node.ops:
            operand.expr = _weighed(operand.expr)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _weighed(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _weighed(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _weighed(node) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _call(_COPY, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        if node.name not in _FILTERS:
            _refuse(f"the filter {node.name!r}", node)
        self._check_arguments(node)
        if node.name in _NAMING_FILTERS:
            self._check_named(node, _NAMING_FILTERS[node.name], _FILTERS if node.name == "map" else _TESTS)
        return self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        if node.name not in _TESTS:
            _refuse(f"the test {node.name!r}", node)
        self._check_arguments(node)
        return self.generic_visit(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self._check_arguments(node)
        callee = node.node
        if isinstance(callee, nodes.Name) and callee.name == "range":
            node.args = [self.visit(argument) for argument in node.args]
            return node
        if not isinstance(callee, nodes.Getattr) or callee.attr not in _METHODS:
            name = getattr(callee, "attr", None) or getattr(callee, "name", "a value")
            _refuse(f"a call of {name!r}", node)
        return self.generic_visit(node)

    def _check_arguments(self, node: nodes.Filter | nodes.Test | nodes.Call) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            _refuse("an argument list of its own making", node)

    def _check_named(self, node: nodes.Filter, place: int, allowed: frozenset[str]) -> None:
        if len(node.args) <= place:
            return
        name = node.args[place]
        if not isinstance(name, nodes.Const) or name.value not in allowed:
            _refuse(f"the filter {node.name!r} with a name that is not known here", node)


def _refuse(construct: str, node: nodes.Node) -> NoReturn:
    raise UnboundedError(construct, node.lineno)


def _call(name: str, node: nodes.Node, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, list(arguments), [], None, None, lineno=node.lineno)


def _weighed(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _call(_WEIGH, node)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2 with its defaults, as Dify runs it, that spends the budget for all that it lets a template do."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__()
        self.globals = {"range": range}
        self.filters = {name: _metered(name, self.filters[name]) for name in _FILTERS}
        self.filters.update({_LOOP: _loop, _CONCAT: _concat, _WEIGH: _weigh, _COPY: _copy})
        self.tests = {name: _metered_test(name, self.tests[name]) for name in _TESTS}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Spend what the operator costs, then apply it; text formatting by ``%`` is refused."""
        if operator == "*":
            multiply_cost(left, right)
        elif operator == "**":
            power_cost(left, right)
        elif isinstance(left, str | list | tuple):
            if operator == "%":
                raise OutOfFuelError("text formatting with %")
            fuel().weigh_shallow(left)
            fuel().weigh_shallow(right)
        else:
            check_int_size(left)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Spend what the method costs, then call it."""
        budget = fuel()
        budget.weigh(args)
        name, receiver = getattr(function, "__name__", ""), getattr(function, "__self__", None)
        if name not in _CHEAP_METHODS and isinstance(receiver, str | list | tuple):
            budget.weigh(receiver)
            grow = _METHOD_GROWTH.get(name)
            if grow is not None:
                budget.spend(_units(grow, receiver, args))
        return super().call(context, function, *args, **kwargs)


def _units(grow: Callable[..., int], *arguments: Any, **named: Any) -> int:
    """What ``grow`` says, or nothing where the arguments do not fit: the operation itself will refuse them."""
    try:
        return max(0, grow(*arguments, **named))
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return 0


def _loop(iterable: Any, weight: int) -> Any:
    fuel().enter_loop(iterable, weight)
    return iterable


def _concat(values: list[Any]) -> str:
    budget = fuel()
    budget.weigh(values)
    return "".join(map(str, values))


def _weigh(value: Any) -> Any:
    fuel().weigh(value)
    return value


def _copy(value: Any) -> Any:
    fuel().weigh_shallow(value)
    return value


def _metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter ``function`` so that it spends for its input, its arguments and its growth first."""
    if name in _CHEAP_FILTERS:
        return function
    skipped = 1 if getattr(function, "jinja_pass_arg", None) is not None else 0
    grow = _FILTER_GROWTH.get(name)

    @wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        budget = fuel()
        values = args[skipped:]
        budget.weigh(values)
        budget.weigh(kwargs)
        if name in _HEAVY_FILTERS and isinstance(values[0], str):
            budget.spend(len(values[0]))
        if grow is not None:
            budget.spend(_units(grow, *values, **kwargs))
        result = function(*args, **kwargs)
        if isgenerator(result) or hasattr(result, "__next__"):
            result = list(islice(result, MAX_UNITS))
            budget.spend(len(result))
        return result

    return metered


def _metered_test(name: str, function: Callable[..., bool]) -> Callable[..., bool]:
    if name not in _COMPARING_TESTS:
        return function

    def metered(*args: Any) -> bool:
        fuel().weigh(args)
        return function(*args)

    return metered


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _sum_growth(values: Any, attribute: Any = None, start: Any = 0) -> int:
    # Adding lists one to another copies the first ones again and again.
    if isinstance(start, list | tuple):
        return MAX_UNITS + 1
    return 0


def _indent_growth(text: Any, width: Any = 4, *_: Any, **__: Any) -> int:
    return (str(text).count("\n") + 1) * (len(width) if isinstance(width, str) else width)


def _json_growth(value: Any, indent: Any = None) -> int:
    return MAX_UNITS + 1 if _count(indent) > 16 else 0


def _round_growth(value: Any, precision: Any = 0, method: Any = "common") -> int:
    return MAX_UNITS + 1 if abs(_count(precision)) > 300 else 0  # ten to that power is computed


def _replace_growth(text: Any, old: Any, new: Any, count: Any = None) -> int:
    return str(text).count(str(old)) * len(str(new)) >> 4


def _join_growth(values: Any, separator: Any = "", attribute: Any = None) -> int:
    return len(values) * (1 + (len(str(separator)) >> 4))


def _trim_growth(text: Any, characters: Any = None) -> int:
    return len(str(text)) * len(characters) >> 4 if characters else 0


_FILTER_GROWTH: dict[str, Callable[..., int]] = {
    "batch": lambda values, linecount, *_, **__: _count(linecount),
    "center": lambda text, width=80: _count(width) >> 4,
    "indent": _indent_growth,
    "join": lambda values, d="", attribute=None: _join_growth(values, d),
    "replace": lambda s, old, new, count=None: _replace_growth(s, old, new),
    "round": _round_growth,
    "slice": lambda values, slices, *_, **__: _count(slices),
    "sum": lambda iterable, attribute=None, start=0: _sum_growth(iterable, attribute, start),
    "tojson": _json_growth,
    "trim": lambda value, chars=None: _trim_growth(value, chars),
}
_METHOD_GROWTH: dict[str, Callable[..., int]] = {
    "center": lambda text, args: _count(args[0]) >> 4,
    "ljust": lambda text, args: _count(args[0]) >> 4,
    "rjust": lambda text, args: _count(args[0]) >> 4,
    "zfill": lambda text, args: _count(args[0]) >> 4,
    "join": lambda text, args: _join_growth(args[0], text),
    "replace": lambda text, args: _replace_growth(text, args[0], args[1]),
    "split": lambda text, args: len(text),
    "rsplit": lambda text, args: len(text),
    "splitlines": lambda text, args: len(text),
    "strip": lambda text, args: _trim_growth(text, *args),
    "lstrip": lambda text, args: _trim_growth(text, *args),
    "rstrip": lambda text, args: _trim_growth(text, *args),
}
