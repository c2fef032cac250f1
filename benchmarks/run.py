"""The ``dev/bench`` command: measures what is named (or everything), prints a table, writes flat JSON if asked to."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import engine_bench, hitl_bench, ray_bench
from benchmarks.options import LIVE_COUNT, PAUSED_COUNT, Options

LEAST_PAUSED = 100
WIDTH_OF_FILES = 1000
"""Columns that a table may take where it goes into a file or a pipe; it takes what it needs."""

Measure = Callable[[Options], dict[str, float]]
"""Measures what the options ask for; returns value by ``<case>.<quantity>``."""

MEASUREMENTS: dict[str, Measure] = {
    "engine": engine_bench.measure,
    "hitl": hitl_bench.measure,
    "ray": ray_bench.measure,
}


def main(command_line: Sequence[str] | None = None, measurements: Mapping[str, Measure] = MEASUREMENTS) -> None:
    """Run the ``measurements`` that the command line names."""
    parser = argparse.ArgumentParser(prog="dev/bench", description="Measure Greenroom.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(measurements)} (default: all)")
    parser.add_argument("--peers", action="store_true", help="measure peers too, in environments of their own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as one flat object")
    parser.add_argument(
        "--paused", type=_count, default=PAUSED_COUNT, metavar="N", help=f"runs that wait in hitl ({PAUSED_COUNT})"
    )
    parser.add_argument(
        "--live", type=_live, default=LIVE_COUNT, metavar="N", help=f"runs that execute at a time in ray ({LIVE_COUNT})"
    )
    arguments = parser.parse_args(command_line)
    unknown = sorted(set(arguments.names) - set(measurements))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there is: {', '.join(measurements)}")
    # Elsewhere than on a terminal no width is known, and lines that are cut or wrapped cannot be put together again.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
    figures: dict[str, float] = {}
    for name in arguments.names or measurements:
        measured = measurements[name](Options(arguments.peers, arguments.paused, arguments.live))
        figures |= {f"{name}.{figure}": value for figure, value in measured.items()}
        console.print(f"{name}, Python {platform.python_version()}, medians", *tables_of(measured, name), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _count(text: str) -> int:
    count = int(text)
    if count < LEAST_PAUSED:
        raise argparse.ArgumentTypeError(f"must be {LEAST_PAUSED} or more")
    return count


def _live(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return count


def tables_of(measured: Mapping[str, float], name: str) -> list[Table]:
    """Return the tables of a measurement: a line for each case and a column for each quantity; single ones by lines."""
    by_quantity: dict[str, dict[str, float]] = {}
    for figure, value in measured.items():
        case, _, quantity = figure.rpartition(".")
        case = case or name
        by_quantity.setdefault(quantity, {})[case] = value
    single = {quantity: values for quantity, values in by_quantity.items() if len(values) == 1}
    columns = {quantity: values for quantity, values in by_quantity.items() if quantity not in single}
    tables = []
    if columns:
        table = _table("case", *columns)
        for case in dict.fromkeys(case for values in columns.values() for case in values):
            table.add_row(case, *(_rounded(values[case]) if case in values else "" for values in columns.values()))
        tables.append(table)
    if single:
        table = _table("figure", "value")
        for quantity, values in single.items():
            for case, value in values.items():
                table.add_row(quantity if case == name else f"{case}.{quantity}", _rounded(value))
        tables.append(table)
    return tables


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first, no_wrap=True)
    for each in others:
        table.add_column(each, justify="right", no_wrap=True)
    return table


def _rounded(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
