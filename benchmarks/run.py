"""The ``dev/bench`` command: measures what is named (or everything), prints a table, writes flat JSON if asked to."""

import argparse
import json
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import engine_bench

MEASUREMENTS = {"engine": engine_bench.measure}


def main() -> None:
    """Run the measurements that the command line names."""
    parser = argparse.ArgumentParser(prog="dev/bench", description="Measure Greenroom.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(MEASUREMENTS)} (default: all)")
    parser.add_argument("--peers", action="store_true", help="measure peers too, in environments of their own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as one flat object")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(MEASUREMENTS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there is: {', '.join(MEASUREMENTS)}")
    console = Console(highlight=False)
    figures: dict[str, float] = {}
    for name in arguments.names or MEASUREMENTS:
        measured = MEASUREMENTS[name](arguments.peers)
        figures |= {f"{name}.{figure}": value for figure, value in measured.items()}
        console.print(table_of(name, measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def table_of(name: str, measured: dict[str, float]) -> Table:
    """Return the table of a measurement: a line for each case, a column for each quantity."""
    cases = dict.fromkeys(figure.split(".")[0] for figure in measured)
    quantities = list(dict.fromkeys(figure.split(".")[1] for figure in measured))
    table = Table("case", title=f"{name}, Python {platform.python_version()}, medians")
    for quantity in quantities:
        table.add_column(quantity, justify="right")
    for case in cases:
        values = (measured.get(f"{case}.{quantity}") for quantity in quantities)
        table.add_row(case, *("" if value is None else f"{value:,.1f}" for value in values))
    return table


if __name__ == "__main__":
    sys.exit(main())
