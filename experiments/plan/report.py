"""The plan as a table."""

from __future__ import annotations

from experiments.hardware import Hardware
from experiments.plan.work import Plan
from imaging.preparation import interval_width

ASSUMED = {16: 20.0, 24: 40.0, 48: 60.0, 80: 120.0, 141: 200.0}
"""TFLOP/s by memory of the card in GB: some 30 % of the dense matrix peak in half precision of a T4, A10 or RTX 3090, A6000,
A100 and H200. An assumption, measured on none of them."""
COLUMNS = (
    "stage", "model", "phase", "px", "precision", "parameters", "batch × accumulate", "memory", "images (positive)", "PFLOP",
)  # fmt: skip


def assumed_tflops(hardware: Hardware) -> float:
    """The rate of the nearest card of ASSUMED."""
    size = hardware.memory / 1e9
    return ASSUMED[min(ASSUMED, key=lambda known: abs(known - size))]


def table(plan: Plan) -> str:
    """One line per phase, as Markdown."""
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    rows = [
        f"| {p.stage} | {p.model} | {p.number + 1} | {p.image_size} | {p.precision} | {p.parameters / 1e6:.1f} M "
        f"| {p.batch} × {p.accumulate} | {p.memory / 1e9:.1f} GB{'' if p.fits else ' **does not fit**'} "
        f"| {p.images:,} ({p.positives:,}) | {p.flop / 1e15:,.3g} |"
        for p in plan.phases
    ]
    return "\n".join([*head, *rows])


def summary(plan: Plan, hardware: Hardware, tflops: float | None) -> str:
    """Totals in a few lines; tflops None: an assumed rate, or no time on a CPU."""
    disk = ", ".join(f"{name} {size(value)}" for name, value in plan.disk.items())
    return "\n".join(
        [
            f"Card: {hardware.name}, {size(hardware.memory)}; {plan.folds} folds; the table's PFLOP are of one fold",
            f"Computation: {plan.flop / 1e15:,.4g} PFLOP, {plan.prediction_flop / 1e15:,.3g} of them predictions",
            f"Time: {_time(plan, hardware, tflops)}",
            f"Disk: {disk}",
            f"Hold-out: {interval_width.sentence(plan.holdout)}",
        ]
    )


def _time(plan: Plan, hardware: Hardware, tflops: float | None) -> str:
    if tflops is None and hardware.kind == "cpu":
        return "give --tflops, the rate that this machine sustains, for an estimate"
    rate = tflops or assumed_tflops(hardware)
    source = "given" if tflops else "assumed; --tflops sets what your card sustains"
    return f"{plan.hours(rate):,.3g} hours at {rate:g} TFLOP/s ({source})"


def size(value: float) -> str:
    """Bytes in MB or GB."""
    return f"{value / 1e9:,.1f} GB" if value >= 1e9 else f"{value / 1e6:,.0f} MB"


def overview(name: str, plans: dict[float, Plan]) -> str:
    """One line per recipe: for each memory the batch × accumulation of its costliest step, and the hours of the run."""
    cells = []
    for gigabytes, plan in plans.items():
        largest = max(plan.phases, key=lambda phase: phase.flop_per_image)
        rate = ASSUMED[min(ASSUMED, key=lambda known: abs(known - gigabytes))]
        fit = (
            f"{largest.batch} × {largest.accumulate}, {_duration(plan.hours(rate))}"
            if plan.fits
            else "does not fit"
        )
        cells.append(fit)
    some = next(iter(plans.values()))
    disk = size(sum(some.disk.values()))
    width = f"±{interval_width.half_width(some.holdout):.3f}"
    side = max(p.image_size for p in some.phases)
    return f"| {name} | {side} | {_number(some.flop / 1e15)} | {disk} | {width} | {' | '.join(cells)} |"


def _duration(hours: float) -> str:
    """In hours, or in minutes below one."""
    if hours < 1 / 60:
        return "< 1 min"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{_number(hours)} h"


def _number(value: float) -> str:
    """Three digits, or all of those before the decimal point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def refusal(plan: Plan) -> str:
    """What does not fit, one per line, with the settings to change."""
    return "\n".join(
        f"{p.stage}, model {p.model}, phase {p.number + 1}: {p.memory / 1e9:.1f} GB at batch {p.batch} and "
        f"{p.image_size} px; lower {p.stage}.image_size, or use a smaller network or a card with more memory"
        for p in plan.phases
        if not p.fits
    )
