"""Compare experiments and runs: `python -m experiments.compare [NAME…] [--tag KEY=VALUE] [--query …] [--baseline NAME]`.

NAME is the name of an experiment (`make repro NAME=…`, `dvc exp run -n …`) or of a run, the start of a run id, or the folder of
a checkout. Without a name: every evaluated experiment. Writes reports/compare/ and prints its tables. Trainings of one recipe
with several seeds (`make repro SEEDS=3`) are one experiment.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
from mlflow.tracking import MlflowClient

from experiments import tracking
from experiments.compare import figure, runs
from experiments.compare import tables as compare_tables
from experiments.compare.runs import Curve, Result
from imaging.io import command
from imaging.io.files import atomic, check_names_folder, write_text
from imaging.plotting import save

OUTPUT = Path("reports/compare")
RANKING = {
    "out-of-fold": "Ranked by nested out-of-fold scores; the hold-out columns are only for reporting the chosen experiment.",
    "holdout": "Ranked by the hold-out: the best score is biased upwards, and the hold-out is no longer independent.",
}
"""What the ranking means, by its criterion."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.compare", description="Compare experiments and runs."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="experiment, run, start of a run id, or folder of a checkout"
    )
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="runs with this tag")
    parser.add_argument("--query", default="", help='MLflow\'s filter, e.g. "metrics.`val/score` > 0.5"')
    parser.add_argument(
        "--baseline", metavar="NAME", help="experiment that the others are compared with (default: the first)"
    )
    parser.add_argument(
        "--by",
        choices=compare_tables.BY,
        default=compare_tables.BY[0],
        help="rank and compare by out-of-fold scores (default) or by the hold-out, which is then no longer independent",
    )
    parser.add_argument(
        "--output", type=command.place, default=OUTPUT, help=f"folder to write, default {OUTPUT}"
    )
    return parser.parse_args()


def run(given: argparse.Namespace) -> str:
    """Read, compare, write; returns the tables as text."""
    check_names_folder(given.output)
    client = MlflowClient(tracking_uri=tracking.tracking_uri())
    names = list(dict.fromkeys([*([given.baseline] if given.baseline and given.names else []), *given.names]))
    results, curves = runs.select(client, names, _tags(given.tag), given.query)
    if not results and not curves:
        raise ValueError(
            "MLflow has no evaluated experiment yet: run `make repro` first, or name a folder or a run"
        )
    results = distinct(results)
    base = baseline(results, given.baseline)
    tables = {
        "experiments": compare_tables.ranked(compare_tables.results(results), given.by),
        "differences": differences(results, base, given.by),
    }
    curves += [one for result in results for one in result.curves]
    for stage in dict.fromkeys(one.stage for one in curves):
        tables[stage or "runs"] = compare_tables.curves([one for one in curves if one.stage == stage])
    return write(tables, [one for one in curves if one.points], given.output, given.by)


def distinct(results: list[Result]) -> list[Result]:
    """Add the time of the evaluation to names that several experiments have."""
    names = [one.name for one in results]
    return [
        one if names.count(one.name) == 1 else replace(one, name=f"{one.name} {one.made}") for one in results
    ]


def baseline(results: list[Result], name: str | None) -> Result | None:
    """The experiment that the others are compared with."""
    if name is None:
        return results[0] if results else None
    wanted = Path(name).resolve().name if Path(name).is_dir() else name
    for one in results:
        if one.name.split(" ")[0] == wanted:
            return one
    raise ValueError(
        f"--baseline {name}: not among {', '.join(one.name for one in results) or 'the evaluated experiments'}"
    )


def differences(results: list[Result], base: Result | None, by: str) -> pd.DataFrame:
    """Differences of all other experiments from the baseline."""
    rows = [
        compare_tables.difference(one, base, by) for one in results if base is not None and one is not base
    ]
    return pd.DataFrame(rows)


def write(tables: dict[str, pd.DataFrame], curves: list[Curve], folder: Path, by: str) -> str:
    """Write each table as CSV, all of them as compare.md, and a figure of the curves; returns the Markdown."""
    heads = {
        "experiments": f"Experiments, ranked by the {by.replace('holdout', 'hold-out')} score, with 95 % intervals",
        "differences": "Differences from the baseline, paired over patients and unpaired over seeds, with 95 % intervals",
    }
    parts = [f"{RANKING[by]}\n"]
    for name, table in tables.items():
        if len(table):
            head = heads.get(name, f"Last values of the curves: {name}")
            parts.append(f"## {head}\n\n{compare_tables.markdown(table, signed=name == 'differences')}")
            with atomic(folder / f"{name}.csv") as temporary:
                table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    if curves:
        save(figure.draw(curves), folder / "curves.png")
        parts.append("![Curves](curves.png)\n")
    text = "\n".join(parts)
    write_text(folder / "compare.md", text)
    return f"{text}\nWritten to {folder}/: compare.md, CSV tables{', curves.png' if curves else ''}\n"


def _tags(given: list[str]) -> dict[str, str]:
    for one in given:
        if "=" not in one:
            raise ValueError(f"--tag {one}: write KEY=VALUE, e.g. --tag stage=train_segmentation")
    return dict(one.split("=", 1) for one in given)


def main() -> None:
    """Print the comparison."""
    print(run(arguments()), flush=True)


if __name__ == "__main__":
    command.run(main)
