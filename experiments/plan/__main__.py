"""Plan a run before it starts: memory, batch, images, FLOP, hours and disk of every stage and phase.

    python -m experiments.plan [RECIPE] [--gpu-memory 24] [--tflops 40] [--json FILE]
    python -m experiments.plan [RECIPE] --gpu-memory 16 24
    python -m experiments.plan --all --gpu-memory 16 24 48 80 141

Without a recipe it plans params.yaml; for several cards it prints one line per recipe. Memory and FLOP come from a step on
fake tensors (experiments/plan/cost.py); nothing is trained and no GPU is needed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from experiments.hardware import current
from experiments.plan.report import ASSUMED, assumed_tflops, overview, refusal, summary, table
from experiments.plan.work import card, data_size, plan
from experiments.settings.params import PARAMS_FILE, Params, load
from imaging.io import command
from imaging.io.files import check_names_file, write_json

RECIPES = Path(__file__).parents[1] / "recipes"
MOST = 1e6
"""Largest GPU memory in GB, and rate in TFLOP/s, that can be planned with."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.plan", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("recipe", nargs="?", help="a recipe's name (default: params.yaml)")
    parser.add_argument("--all", action="store_true", help="one line per recipe, for each --gpu-memory")
    parser.add_argument(
        "--gpu-memory",
        type=float,
        nargs="+",
        metavar="GB",
        help="plan for GPUs with this memory (default: this machine's)",
    )
    parser.add_argument("--tflops", type=float, help="TFLOP/s that the card sustains")
    parser.add_argument("--images", type=int, help="labelled images (default: the source's)")
    parser.add_argument("--positives", type=int, help="positive images among them")
    parser.add_argument("--json", type=command.place, metavar="FILE", help="also write the plan as JSON")
    given = parser.parse_args()
    for option, values in (("--gpu-memory", given.gpu_memory or []), ("--tflops", [given.tflops])):
        for value in values:
            if value is not None and not 0 < value <= MOST:
                raise ValueError(f"{option} {value:g}: give a number above 0, at most {MOST:g}")
    several = given.all or len(given.gpu_memory or []) > 1
    for option, value in (("--json", given.json), ("--tflops", given.tflops)):
        if several and value is not None:
            raise ValueError(
                f"{option} {value}: needs a single recipe and a single --gpu-memory; leave it out"
            )
    sizes = (given.images, given.positives)
    if sizes != (None, None) and (None in sizes or not 0 < given.positives < given.images):
        raise ValueError(
            f"--images {given.images} --positives {given.positives}: give both, 0 < positives < images"
        )
    if given.all and given.recipe:
        raise ValueError(f"{given.recipe}: --all plans every recipe; give only one of the two")
    if given.json:
        check_names_file(given.json)
    return given


def main() -> None:
    """Print the plan; exit status 1 when a phase cannot fit."""
    given = arguments()
    if given.all:
        print(_cards(given, sorted(RECIPES.glob("*.yaml"))), flush=True)
        return
    path = _recipe(given.recipe) if given.recipe else Path(PARAMS_FILE)
    if len(given.gpu_memory or []) > 1:
        print(_cards(given, [path]), flush=True)
        return
    params = load(path)
    hardware = card(given.gpu_memory[0]) if given.gpu_memory else current()
    made = plan(params, *_size(given, params), hardware)
    print(f"{table(made)}\n\n{summary(made, hardware, given.tflops)}", flush=True)
    if given.json:
        write_json(given.json, made.as_json(given.tflops or assumed_tflops(hardware)))
    if not made.fits:
        sys.exit(refusal(made))


def _cards(given: argparse.Namespace, recipes: list[Path]) -> str:
    """The table of recipes and cards; sources other than SIIM-ACR's need --images and --positives, or are left out."""
    memories = given.gpu_memory or list(ASSUMED)
    lines = [
        f"| recipe | px | PFLOP | disk | 95 % interval | {' | '.join(f'{m:g} GB' for m in memories)} |",
        "|---" * (5 + len(memories)) + "|",
    ]
    for path in tqdm(recipes, "recipes", disable=None):
        params = load(path)
        try:
            size = _size(given, params)
        except ValueError:
            missing = "its source has no known size: give --images and --positives"
            lines.append(f"| {path.stem} | {missing} |" + " |" * (3 + len(memories)))
            continue
        lines.append(overview(path.stem, {m: plan(params, *size, card(m)) for m in memories}))
    return "\n".join(lines)


def _recipe(name: str) -> Path:
    path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(
            f"no recipe {name!r}; known: {', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))}"
        )
    return path


def _size(given: argparse.Namespace, params: Params) -> tuple[int, int]:
    if given.images is None:
        return data_size(params.data, params.phantom)
    return given.images, given.positives


if __name__ == "__main__":
    command.run(main)
