"""Patient and exposure: what is the same on all images of a patient, and what is sampled for each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.phantom.canvas import WORK


@dataclass(frozen=True)
class Build:
    """What is the same on all images of a patient."""

    sex: str
    age: int
    stout: float
    """0 slim .. 1 obese."""
    lung: float
    """Height of the lungs relative to the standard outline."""
    heart: float
    """Width of the heart relative to the standard outline."""
    rib_slope: float
    """Downward slope of the ribs relative to the standard."""
    breast: float
    """0 flat .. 1 large."""
    muscle: float
    """Thickness of the chest muscles, relative to the standard."""
    scoliosis: float
    implant: bool
    """Carries a pacemaker."""
    bone: float
    """Bone mineral, 1 in a young man."""
    shape: tuple[float, ...]
    """Sixteen deviations of the outlines from the standard, around 0."""


@dataclass(frozen=True)
class Pose:
    """How this one image was taken."""

    view: str
    """PA or AP."""
    supine: bool
    unit: float
    """Pixels of the WORK grid in one anatomical unit."""
    x: float
    y: float
    angle: float
    inspiration: float
    """1 full .. 0.6 shallow."""
    shoulders: float
    """0 rolled forward (shoulder blades off the lungs, PA) .. 1 hanging (over the lungs, AP)."""
    turned: float
    """Rotation about the long axis: shift of the front against the back, in anatomical units."""


def sample_build(rng: np.random.Generator, slender: bool = False) -> Build:
    """Sample a patient; `slender`: as patients with a pneumothorax are more often, thin and with long lungs."""
    sex = "M" if rng.random() < 0.56 else "F"
    age = int(np.clip(rng.normal(47, 17), 4, 90))
    woman = sex == "F" and age > 14
    return Build(
        sex=sex,
        age=age,
        stout=float(rng.beta(1.6, 2.6) * (0.6 if slender else 1.0)),
        lung=float(np.clip(rng.normal(1.04 if slender else 1.0, 0.07), 0.82, 1.16)),
        heart=float(np.clip(rng.normal(1.06, 0.15) + max(age - 55, 0) * 0.004, 0.75, 1.55)),
        rib_slope=float(np.clip(rng.normal(1.0, 0.14), 0.65, 1.35)),
        breast=float(rng.uniform(0.25, 1.0) if woman else rng.uniform(0, 0.12)),
        muscle=float(rng.uniform(0.1, 0.6) if woman else rng.uniform(0.3, 1.3)),
        scoliosis=float(rng.normal(0, 0.025)),
        implant=bool(rng.random() < 0.03 + 0.05 * (age > 60)),
        bone=float(np.clip(rng.normal(1.0, 0.15) - max(age - 60, 0) * 0.008, 0.6, 1.3)),
        shape=tuple(np.clip(rng.normal(0, 1, 16), -2.2, 2.2).tolist()),
    )


def sample_pose(rng: np.random.Generator, build: Build) -> Pose:
    """Sample the pose of one exposure."""
    upright = rng.random() < 0.62  # PA in SIIM-ACR: 62 % of the sample at hand
    size = 0.93 if build.age < 16 else 1.0
    unit = (rng.normal(0.352, 0.03) if upright else rng.normal(0.335, 0.038)) * WORK * size
    lean, off, drop = (0.025, 0.028, 0.135) if upright else (0.045, 0.045, 0.16)
    return Pose(
        view="PA" if upright else "AP",
        supine=not upright and bool(rng.random() < 0.5),
        unit=float(np.clip(unit, 0.26 * WORK, 0.43 * WORK)),
        x=float(WORK * (0.5 + rng.normal(0, off))),
        y=float(WORK * np.clip(rng.normal(drop, 0.045), 0.02, 0.32)),
        angle=float(np.clip(rng.normal(0, lean), -0.14, 0.14)),
        inspiration=float(np.clip(rng.normal(1.0 if upright else 0.84, 0.07), 0.62, 1.12)),
        shoulders=float(rng.beta(1.3, 4) if upright else rng.beta(4, 1.5)),
        turned=float(rng.normal(0, 0.03 if upright else 0.06)),
    )
