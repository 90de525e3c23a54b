"""Speed of the training loop on a processor against a plain PyTorch loop. `python -m benchmarks.training_loop`

Both train the same U-Net (EfficientNet-Lite0 encoder) on the same prepared images with the same batch, precision, memory
format, loss, augmentation (albumentations, the same changes) and number of loader workers; alternating, so that a busy machine
slows both. Our loop logs, clips gradients, checks for NaN and validates two images; the plain one does none of it. The ratio of
processor times is printed beside that of the clock, since only the former is meaningful while other programs run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks import timing
from benchmarks.gpu_cases import Case, Objective, generated
from benchmarks.timing import Row, table
from experiments.hardware import current
from experiments.networks.normalisation import normalise
from experiments.networks.precision import DTYPES, choose_precision
from experiments.settings.common import TrainingSettings
from experiments.training import loop
from imaging.data import augment
from imaging.data.dataset import Images, as_it_is, worker_init
from imaging.io.threads import cores
from imaging.prepared import Prepared
from imaging.settings import AugmentSettings

SIDE, BATCH, STEPS, ROUNDS = 192, 16, 6, 3
PLAIN = "plain PyTorch loop"
GOAL = 0.95


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_loop", description=__doc__)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[0, 1], help="loader processes (default: 0 and 1)"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = [row for workers in given.workers for row in rows(workers, given.steps, given.rounds)]
    print(timing.machine(), table(found), sep="\n\n")


def rows(workers: int, steps: int = STEPS, rounds: int = ROUNDS) -> list[Row]:
    """Ratios of processor time and of the clock; loader processes included."""
    case = Case("U-Net EfficientNet-Lite0", "tu-tf_efficientnet_lite0", SIDE, BATCH)
    settings = case.settings("32-true").model_copy(
        update={"precision": "auto", "augment": AugmentSettings(), "workers": workers}
    )
    with tempfile.TemporaryDirectory() as scratch:
        prepared = generated(Path(scratch), steps * BATCH, SIDE)
        cases = {
            "ours": lambda: ours(case.ours("32-true"), settings, prepared, Path(scratch)),
            PLAIN: lambda: plain(case.ours("32-true"), settings, prepared),
        }
        for run in cases.values():
            run()  # kernels are chosen, libraries loaded
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, run in cases.items():
                spent[name].append(measured(run))
    median = {
        name: [statistics.median(one[i] for one in times) for i in (0, 1)] for name, times in spent.items()
    }
    note = f"{workers} workers, {choose_precision('auto', current())}"
    processor, clock = (median[PLAIN][i] / median["ours"][i] for i in (0, 1))
    return [
        Row("training loop, processor time", PLAIN, processor, GOAL, note),
        Row("training loop, clock", PLAIN, clock, None, note),
    ]


def measured(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds of processor time of this process and its children, and wall-clock seconds."""
    begun, clock = _processor(), time.perf_counter()
    run()
    return _processor() - begun, time.perf_counter() - clock


def _processor() -> float:
    used = psutil.Process().cpu_times()
    return used.user + used.system + used.children_user + used.children_system


def ours(net: nn.Module, settings: TrainingSettings, prepared: Prepared, folder: Path) -> None:
    """One epoch of the project's loop."""
    everything = range(len(prepared.index))
    train = Images(prepared, everything, SIDE, augment.build(settings.augment, SIDE))
    with tempfile.TemporaryDirectory(dir=folder) as resume:
        loop.fit(
            net, Objective(settings), train, Images(prepared, range(2), SIDE), settings, title="ours", resume=Path(resume)
        )  # fmt: skip


def plain(net: nn.Module, settings: TrainingSettings, prepared: Prepared) -> None:
    """One epoch of a plain loop."""
    images = Images(prepared, range(len(prepared.index)), SIDE, augment.build(settings.augment, SIDE))
    loader = DataLoader(
        images, BATCH, shuffle=True, drop_last=True, num_workers=settings.loader_processes,
        worker_init_fn=worker_init, collate_fn=as_it_is,
    )  # fmt: skip
    dtype = DTYPES.get(choose_precision("auto", current()))
    net = net.train().to(memory_format=torch.channels_last)
    objective = Objective(settings)
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.lr)
    for batch in loader:
        image = normalise(batch["image"]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            output = net(image)
        loss = objective.loss(output, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


if __name__ == "__main__":
    main()
