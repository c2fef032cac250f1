"""What code nodes of common files do, in the real sandbox."""

from typing import Any

import pytest

from effects.code_sandbox.sandbox import WasmCodeSandbox
from graph.errors import NodeError

pytestmark = pytest.mark.service

SNIPPETS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "json": ("import json\ndef main(t):\n    return {'r': json.loads(t)['a'][1]}", {"t": '{"a": [1, 2]}'}, 2),
    "re": ("import re\ndef main(t):\n    return {'r': re.findall('[0-9]+', t)}", {"t": "a1b22"}, ["1", "22"]),
    "datetime": (
        "from datetime import datetime, timedelta\n"
        "def main(d):\n    return {'r': (datetime.strptime(d, '%Y-%m-%d') + timedelta(days=1)).isoformat()}",
        {"d": "2024-02-28"}, "2024-02-29T00:00:00",
    ),
    "math and statistics": (
        "import math, statistics\ndef main(n):\n    return {'r': [math.floor(math.sqrt(n[0])), statistics.mean(n)]}",
        {"n": [9, 11]}, [3, 10],
    ),
    "base64, hashlib and hmac": (
        "import base64, hashlib, hmac\n"
        "def main(t):\n    b = t.encode()\n    return {'r': [base64.b64encode(b).decode(),"
        " hashlib.sha256(b).hexdigest()[:8], hmac.new(b'k', b, hashlib.md5).hexdigest()[:8]]}",
        {"t": "tea"}, ["dGVh", "a9f74d1e", "6840cee4"],
    ),
    "random, uuid and string": (
        "import random, string, uuid\n"
        "def main(n):\n    t = ''.join(random.choices(string.ascii_letters, k=n))\n"
        "    return {'r': [len(t), len(str(uuid.uuid4()))]}",
        {"n": 5}, [5, 36],
    ),
    "collections, itertools and functools": (
        "from collections import Counter, OrderedDict, defaultdict\nfrom functools import reduce\n"
        "from itertools import groupby\n"
        "def main(w):\n    d = defaultdict(list)\n    [d[len(x)].append(x) for x in w]\n"
        "    return {'r': [Counter(w).most_common(1)[0][0], reduce(lambda a, b: a + b, w), len(OrderedDict(d)),"
        " [k for k, _ in groupby(w)]]}",
        {"w": ["a", "a", "bb"]}, ["a", "aabb", 2, ["a", "bb"]],
    ),
    "dataclass, enum and generators": (
        "from dataclasses import dataclass, asdict\nfrom enum import Enum\nclass Color(Enum):\n    RED = 'red'\n"
        "@dataclass\nclass Tea:\n    name: str\n    color: str = Color.RED.value\n"
        "def many(n):\n    for i in range(n):\n        yield asdict(Tea(str(i)))\n"
        "def main(n):\n    return {'r': list(many(n))}",
        {"n": 1}, [{"name": "0", "color": "red"}],
    ),
    "inheritance and match": (
        "class Shape:\n    def area(self):\n        raise NotImplementedError\n"
        "class Square(Shape):\n    def __init__(self, a):\n        super().__init__()\n        self.a = a\n"
        "    def area(self):\n        return self.a ** 2\n"
        "def main(v):\n    match v:\n        case {'kind': 'square', 'a': a}:\n"
        "            return {'r': Square(a).area()}",
        {"v": {"kind": "square", "a": 3}}, 9,
    ),
    "csv and io": (
        "import csv, io\ndef main(t):\n    return {'r': [r['b'] for r in csv.DictReader(io.StringIO(t))]}",
        {"t": "a,b\n1,2\n3,4\n"}, ["2", "4"],
    ),
    "urllib and html": (
        "import html\nfrom urllib.parse import parse_qs, quote, urlparse\n"
        "def main(u):\n    return {'r': [parse_qs(urlparse(u).query)['q'][0], quote('a b'), html.unescape('&lt;')]}",
        {"u": "https://x.test/?q=1"}, ["1", "a%20b", "<"],
    ),
    "decimal": (
        "from decimal import Decimal, ROUND_HALF_UP\n"
        "def main(p):\n    return {'r': str(Decimal(p).quantize(Decimal('0.01'), ROUND_HALF_UP))}",
        {"p": "1.005"}, "1.01",
    ),
    "ast, struct, zlib and difflib": (
        "import ast, difflib, struct, zlib\n"
        "def main(t):\n    return {'r': [ast.literal_eval(t), zlib.decompress(zlib.compress(b'x')).decode(),"
        " struct.unpack('>H', b'\\x01\\x00')[0], difflib.get_close_matches('teh', ['the', 'xyz'])]}",
        {"t": "[1]"}, [[1], "x", 256, ["the"]],
    ),
    "xml": (
        "import xml.etree.ElementTree as ET\n"
        "def main(t):\n    return {'r': [e.text for e in ET.fromstring(t).iter('b')]}",
        {"t": "<a><b>1</b><b>2</b></a>"}, ["1", "2"],
    ),
    "zoneinfo": (
        "from datetime import datetime\nfrom zoneinfo import ZoneInfo\n"
        "def main(z):\n    return {'r': datetime(2024, 7, 1, tzinfo=ZoneInfo(z)).utcoffset().total_seconds()}",
        {"z": "Europe/Berlin"}, 7200.0,
    ),
    "yaml": ("import yaml\ndef main(t):\n    return {'r': yaml.safe_load(t)}", {"t": "a: [1, x]"}, {"a": [1, "x"]}),
    "dateutil": (
        "import dateutil.parser, dateutil.tz\n"
        "def main(t):\n    zone = dateutil.tz.gettz('Asia/Tokyo')\n"
        "    return {'r': dateutil.parser.parse(t).replace(tzinfo=zone).isoformat()}",
        {"t": "1 July 2024"}, "2024-07-01T00:00:00+09:00",
    ),
    "jsonpath": (
        "from jsonpath_ng import parse\ndef main(d):\n    return {'r': [m.value for m in parse('$.a[*].b').find(d)]}",
        {"d": {"a": [{"b": 1}, {"b": 2}]}}, [1, 2],
    ),
    "asyncio": (
        "import asyncio\nasync def one(i):\n    await asyncio.sleep(0.01)\n    return i\n"
        "async def both():\n    return await asyncio.gather(one(1), one(2))\n"
        "def main():\n    return {'r': asyncio.run(both())}",
        {}, [1, 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SNIPPETS)
async def test_python_runs_what_files_contain(sandbox: WasmCodeSandbox, name: str):
    """Code with the standard library and the packages of the image gives what it gives outside."""
    code, inputs, expected = SNIPPETS[name]
    assert await sandbox.run_code("python3", code, inputs) == {"r": expected}


@pytest.mark.parametrize("package", ["requests", "numpy"])
async def test_python_names_a_package_that_is_missing(sandbox: WasmCodeSandbox, package: str):
    """Code that wants a package which the image lacks fails by the package's name and the line."""
    with pytest.raises(NodeError, match=rf"ModuleNotFoundError: No module named '{package}' \(line 1\)"):
        await sandbox.run_code("python3", f"import {package}\ndef main():\n    return {{}}", {})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def main():\n    x = 1\n    return {'r': x / 0}", r"^ZeroDivisionError: division by zero \(line 3\)$"),
        ("def main(:", r"^SyntaxError: invalid syntax \(line 1\)$"),
        ("x = 1", "^NameError: name 'main' is not defined"),
        ("def main(a): return {}", "^TypeError: main\\(\\) missing 1 required positional argument: 'a'"),
        ("def main(): return 3", "^main must return an object, not int$"),
        ("def main(): return {'r': {1}}", "^TypeError: Object of type set is not JSON serializable"),
        ("def main(): return {'r': float('nan')}", "it has no NaN"),
        ("def main(): raise SystemExit(3)", "^SystemExit: 3"),
        ("class E(Exception):\n    def __str__(self): raise self\ndef main(): raise E", r"^E \(line 3\)$"),
    ],
)  # fmt: skip
async def test_python_failure_names_the_line(sandbox: WasmCodeSandbox, code: str, message: str):
    """What code raises, or returns that is no object, fails the node in one sentence with the line of the code."""
    with pytest.raises(NodeError, match=message) as caught:
        await sandbox.run_code("python3", code, {})
    assert caught.value.error_type == "CodeExecutionError"


async def test_python_prints_into_nothing(sandbox: WasmCodeSandbox):
    """What code prints is dropped, however much it is."""
    code = "import sys\ndef main():\n    for _ in range(999): print('x' * 999, file=sys.stderr)\n    return {}"
    assert await sandbox.run_code("python3", code, {}) == {}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("function main({a, b}) { return {r: a + b} }", "xé\u2028😀"),
        ("const main = async ({a, b}) => { await null; console.log(a); return {r: [a, b]} }", ["x", "é\u2028😀"]),
        ("var main = (args) => ({r: Object.keys(args)})", ["a", "b"]),
        ("function main() { return {r: [NaN, undefined, new Date(0), {x: undefined}]} }",
         [None, None, "1970-01-01T00:00:00.000Z", {}]),
        ("function main({a}) { return {r: [...new Set([3, 1, 3])].map(x => `${a}${x ** 2}`)} }", ["x9", "x1"]),
    ],
)  # fmt: skip
async def test_javascript_calls_main_with_one_object(sandbox: WasmCodeSandbox, code: str, expected: Any):
    """JavaScript gets its inputs as one object and may answer with a promise."""
    assert await sandbox.run_code("javascript", code, {"a": "x", "b": "é\u2028😀"}) == {"r": expected}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("function main() {\n  throw new TypeError('bad') }", r"^TypeError: bad \(line 2\)$"),
        ("async function main() {\n  await null\n  throw new Error('late') }", r"^Error: late \(line 3\)$"),
        ("function main( {", "^SyntaxError: "), ("let x = 1", "^ReferenceError: main is not defined"),
        ("function main() { return [1] }", "^main must return an object, not list$"),
        ("function main() { return undefined }", "^main must return an object, not NoneType$"),
        ("function main() { return {r: 10n} }", "^TypeError: BigInt"),
        ("function main() { return new Promise(() => {}) }", "the promise that main returned never resolves"),
    ],
)  # fmt: skip
async def test_javascript_failure_names_the_line(sandbox: WasmCodeSandbox, code: str, message: str):
    """What JavaScript throws fails the node in one sentence."""
    with pytest.raises(NodeError, match=message) as caught:
        await sandbox.run_code("javascript", code, {})
    assert caught.value.error_type == "CodeExecutionError"


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{% macro m(x) %}- {{ x }}\n{% endmacro %}{% for t in v %}{{ m(t) }}{% endfor %}", {"v": [1]}, "- 1\n"),
        ("{{ none }}{{ gone }}{{ n }}\n", {"n": None}, "NoneNone"),
        ("{% set s = namespace(n=0) %}{% for x in v %}{% set s.n = s.n + x %}{% endfor %}{{ s.n }}", {"v": [3]}, "3"),
        ("{{ v.append(3) or v | length }}", {"v": [1]}, "2"),
    ],
)  # fmt: skip
async def test_templates_render_with_the_defaults_of_jinja(
    sandbox: WasmCodeSandbox, template: str, values: dict[str, Any], expected: str
):
    """A template of any construct renders as plain Jinja2 does."""
    assert await sandbox.render(template, values) == expected


@pytest.mark.parametrize(
    ("template", "message", "error_type"),
    [
        ("{{ v.a.b }}", "^the template failed: .* has no attribute 'a' \\(line 1\\)$", "UndefinedError"),
        ("a\n{% for %}", "^the template has a fault at line 2: ", "TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "^the template failed: division by zero", "ZeroDivisionError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "maximum recursion depth", "RecursionError"),
    ],
)  # fmt: skip
async def test_template_failure_has_its_type(sandbox: WasmCodeSandbox, template: str, message: str, error_type: str):
    """A template that fails in the sandbox says so as one that fails in process."""
    with pytest.raises(NodeError, match=message) as caught:
        await sandbox.render(template, {"v": {}})
    assert caught.value.error_type == error_type
