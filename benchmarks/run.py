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
        table = Table("figure", "median", title=f"{name}, Python {platform.python_version()}")
        for figure, value in measured.items():
            table.add_row(figure, f"{value:,.2f}")
        console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
