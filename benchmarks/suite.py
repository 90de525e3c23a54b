"""Every comparison with a named peer, in one run: `make bench`, or `python -m benchmarks.suite [--only decode rle]`.

Prints a Markdown table of ratios with the machine's facts and writes reports/bench.json. What a row compares, and how, is
documented in the module of its name. Rounds are interleaved and medians compared, so a machine that slows down slows both
sides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import decode, feed, folder, networks, prepare, rle, search, timing
from benchmarks.timing import Row, table
from imaging.io.files import write_json

MODULES: dict[str, Callable[[], list[Row]]] = {
    "decode": decode.rows,
    "prepare": prepare.rows,
    "feed": feed.rows,
    "rle": rle.rows,
    "search": search.rows,
    "networks": networks.rows,
    "folder": folder.rows,
}
REPORT = Path("reports/bench.json")


def main() -> None:
    """Print the table, and the physical limits of the machine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=MODULES, default=list(MODULES), metavar="NAME")
    parser.add_argument("--output", type=Path, default=REPORT, help="default: %(default)s")
    given = parser.parse_args()
    rows: list[Row] = []
    for name in given.only:
        start = time.perf_counter()
        rows += MODULES[name]()
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"\n{timing.machine()}\n")
    print(table(rows))
    print("\nPhysical limits here:", "; ".join(f"{key} {value}" for key, value in timing.measured().items()))
    write_json(given.output, as_json(rows))
    missed = [row.name for row in rows if row.verdict == "missed"]
    print(f"Written: {given.output}. Missed: {'; '.join(missed) or 'none'}")


def as_json(rows: list[Row]) -> dict[str, dict[str, object]]:
    """By row: ratio (null where this machine cannot show it), against, at_least (null without a goal), note."""
    return {
        row.name: {"ratio": row.ratio, "against": row.against, "at_least": row.at_least, "note": row.note}
        for row in rows
    }


if __name__ == "__main__":
    main()
