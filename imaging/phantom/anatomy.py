"""Where things are: the outlines of a chest as polygons.

Unit: half the inner width of the thorax (about 14 cm). x to the right of the picture (the patient's left), 0 on the midline; y downwards,
0 at the lung apex. `side` is -1 for the patient's right lung (left in the picture) and +1 for the left one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.phantom.canvas import FULL, WORK, Points, band, closed_curve, ellipse, open_curve


@dataclass(frozen=True)
class Build:
    """What stays the same on all images of a patient."""

    sex: str
    age: int
    stout: float
    """0 slim .. 1 obese."""
    lung: float
    """Height of the lungs relative to the standard outline."""
    heart: float
    rib_slope: float
    breast: float
    scoliosis: float
    implant: bool


@dataclass(frozen=True)
class Pose:
    """How this one image was taken."""

    view: str
    supine: bool
    unit: float
    """Pixels of the WORK grid in one anatomical unit."""
    x: float
    y: float
    angle: float
    inspiration: float
    shoulders: float
    """0 rolled forward (scapulae off the lungs, PA) .. 1 hanging (scapulae over the lungs, AP)."""
    turned: float
    """Rotation of the patient about his long axis, in units of shift of the front against the back."""


def sample_build(rng: np.random.Generator) -> Build:
    """Draw a patient."""
    sex = "M" if rng.random() < 0.56 else "F"
    age = int(np.clip(rng.normal(47, 17), 4, 90))
    return Build(
        sex=sex,
        age=age,
        stout=float(np.clip(rng.beta(1.6, 3.2), 0, 1)),
        lung=float(np.clip(rng.normal(1.0, 0.07), 0.82, 1.16)),
        heart=float(np.clip(rng.normal(1.0, 0.12) + max(age - 55, 0) * 0.004, 0.75, 1.4)),
        rib_slope=float(np.clip(rng.normal(1.0, 0.12), 0.7, 1.3)),
        breast=float(rng.uniform(0.2, 1.0)) if sex == "F" and age > 14 else float(rng.uniform(0, 0.12)),
        scoliosis=float(rng.normal(0, 0.025)),
        implant=bool(rng.random() < 0.03 + 0.05 * (age > 60)),
    )


def sample_pose(rng: np.random.Generator, build: Build) -> Pose:
    """Draw the circumstances of one exposure."""
    view = "PA" if rng.random() < 0.62 else "AP"
    supine = view == "AP" and bool(rng.random() < 0.5)
    small = 0.93 if build.age < 16 else 1.0
    unit = (rng.normal(0.425, 0.022) if view == "PA" else rng.normal(0.375, 0.035)) * WORK * small
    return Pose(
        view=view,
        supine=supine,
        unit=float(np.clip(unit, 0.29 * WORK, 0.455 * WORK)),
        x=float(WORK * (0.5 + rng.normal(0, 0.018 if view == "PA" else 0.035))),
        y=float(WORK * np.clip(rng.normal(0.085 if view == "PA" else 0.16, 0.03), 0.02, 0.26)),
        angle=float(np.clip(rng.normal(0, 0.018 if view == "PA" else 0.045), -0.14, 0.14)),
        inspiration=float(np.clip(rng.normal(1.0 if view == "PA" else 0.84, 0.07), 0.62, 1.12)),
        shoulders=float(rng.beta(1.3, 4)) if view == "PA" else float(rng.beta(4, 1.5)),
        turned=float(rng.normal(0, 0.02 if view == "PA" else 0.05)),
    )


@dataclass(frozen=True)
class Chest:
    """Outlines of one patient in one pose; the methods return polygons (N, 2) in anatomical units."""

    build: Build
    pose: Pose

    @property
    def height(self) -> float:
        """Factor on y for lungs of this patient at this inspiration."""
        return self.build.lung * self.pose.inspiration

    def to_pixels(self, points: Points, size: int = WORK) -> Points:
        """Anatomical units to pixel coordinates of a (size, size) picture."""
        c, s = np.cos(self.pose.angle), np.sin(self.pose.angle)
        turned = np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], 1)
        return (turned * self.pose.unit + (self.pose.x, self.pose.y)) * (size / WORK)

    def radius(self, units: float, size: int = WORK) -> float:
        """A length in pixels of a (size, size) picture."""
        return units * self.pose.unit * size / WORK

    @property
    def mm(self) -> float:
        """Millimetres of one pixel of the full-size radiograph."""
        return 140.0 / (self.pose.unit * FULL / WORK)

    def wall(self, y: np.ndarray) -> np.ndarray:
        """Half inner width of the thorax at height y."""
        knots = np.array([0.0, 0.06, 0.16, 0.32, 0.55, 0.85, 1.2, 1.55, 1.95, 2.4])
        width = np.array([0.44, 0.57, 0.68, 0.79, 0.88, 0.945, 0.985, 1.0, 0.985, 0.94])
        return np.interp(y / self.height, knots, width)

    def midline(self, y: np.ndarray) -> np.ndarray:
        """x of the spine at height y."""
        return self.build.scoliosis * np.sin(np.asarray(y) * 1.9)

    def envelope(self, side: int) -> Points:
        """The whole pleural space, the part behind the diaphragm and the heart included."""
        lateral = np.array([0.02, 0.09, 0.2, 0.4, 0.65, 0.95, 1.25, 1.55, 1.85, 2.02]) * self.height
        outer = np.stack([self.wall(lateral), lateral], 1)
        inner = np.array(
            [
                [0.86, 2.08],
                [0.5, 2.06],
                [0.16, 1.98],
                [0.12, 1.6],
                [0.12, 1.1],
                [0.11, 0.7],
                [0.13, 0.4],
                [0.17, 0.17],
                [0.27, 0.02],
            ]
        )
        inner = inner * (1, self.height)
        points = closed_curve(np.vstack([[[0.36, -0.035]], outer, inner]))
        return points * (side, 1)

    def dome_height(self, side: int) -> float:
        """y of the top of the diaphragm; the right one is the higher."""
        return (1.60 if side < 0 else 1.66) * self.height

    def below_diaphragm(self, side: int) -> Points:
        """Everything under the dome of one side, down to below the picture."""
        top = self.dome_height(side)
        edge = min(top + 0.34 * self.pose.inspiration, 2.0 * self.height)
        dome = np.array(
            [
                [0.0, top + 0.10],
                [0.2, top + 0.055],
                [0.42, top],
                [0.62, top + 0.02],
                [0.8, top + 0.11],
                [0.92, edge - 0.12],
                [1.0, edge],
                [1.3, edge + 0.15],
            ]
        )
        curve = open_curve(dome) * (side, 1)
        return np.vstack([curve, [[side * 1.4, 4.0], [0.0, 4.0]]])

    def heart(self) -> Points:
        """Heart and great vessels' pedicle."""
        w, h = self.build.heart * (1.12 if self.pose.view == "AP" else 1.0), self.height
        shift = self.pose.turned
        points = np.array(
            [
                [0.0, 0.68],
                [0.14, 0.72],
                [0.25, 0.86],
                [0.33, 1.02],
                [0.47, 1.24],
                [0.58, 1.46],
                [0.6, 1.62],
                [0.5, 1.76],
                [0.2, 1.82],
                [-0.12, 1.8],
                [-0.26, 1.68],
                [-0.31, 1.48],
                [-0.29, 1.25],
                [-0.22, 1.05],
                [-0.14, 0.84],
            ]
        )
        return closed_curve(points * (w, h) + (shift, 0))

    def mediastinum(self) -> Points:
        """Upper mediastinum: superior vena cava on the right, aortic knob on the left."""
        w = 1.15 if self.pose.view == "AP" else 1.0
        h, shift = self.height, self.pose.turned
        points = np.array(
            [
                [-0.1, -0.6],
                [0.1, -0.6],
                [0.11, 0.05],
                [0.13, 0.3],
                [0.2, 0.42],
                [0.245, 0.52],
                [0.21, 0.64],
                [0.18, 0.74],
                [0.2, 1.0],
                [-0.18, 1.0],
                [-0.2, 0.8],
                [-0.19, 0.5],
                [-0.17, 0.25],
                [-0.13, 0.0],
            ]
        )
        return closed_curve(points * (w, h) + (shift, 0))

    def torso(self) -> Points:
        """Skin of chest and belly."""
        w = 1.07 + 0.42 * self.build.stout
        belly = w * (0.98 + 0.16 * self.build.stout)
        half = np.array(
            [
                [0.3, -0.3],
                [0.75, -0.1],
                [0.95, 0.2],
                [w * 0.98, 0.6],
                [w, 1.0],
                [w, 1.5],
                [belly, 2.1],
                [belly, 3.2],
            ]
        )
        return closed_curve(np.vstack([half, half[::-1] * (-1, 1)]))

    def shoulders(self, side: int) -> Points:
        """Trapezius, deltoid and the flesh in front of the shoulder blade."""
        drop = 0.12 * self.pose.shoulders
        w = 1.0 + 0.15 * self.build.stout
        points = np.array(
            [
                [0.0, -0.75],
                [0.27, -0.62],
                [0.34, -0.36],
                [0.62, -0.2 + drop],
                [1.1, -0.12 + drop],
                [1.45, 0.0 + drop],
                [1.66, 0.3],
                [1.72, 0.8],
                [1.5, 1.0],
                [1.18, 0.95],
                [0.9, 1.05],
                [0.3, 0.7],
                [0.0, 0.4],
            ]
        )
        return closed_curve(points * (side * w, 1))

    def arm(self, side: int) -> Points:
        """Upper arm: away from the body in PA, along it in AP."""
        out = 0.35 * (1 - self.pose.shoulders)
        w = 1.0 + 0.15 * self.build.stout
        line = open_curve(
            np.array(
                [[1.42 * w, 0.15], [1.5 * w + out * 0.6, 0.9], [1.48 * w + out, 1.6], [1.45 * w + out, 2.4]]
            )
        )
        return band(line * (side, 1), 0.2 + 0.1 * self.build.stout)

    def neck(self) -> Points:
        """Neck."""
        return band(np.array([[0.0, -1.6], [0.0, -0.8], [0.0, 0.2]]), 0.33 + 0.08 * self.build.stout)

    def breast(self, side: int) -> Points:
        """One breast."""
        r = 0.38 + 0.12 * self.build.breast
        return ellipse((side * 0.56, 1.42 + 0.12 * self.build.breast), (r, r * 0.95), side * 0.3)

    def trachea(self) -> Points:
        """Windpipe down to the carina."""
        shift = self.pose.turned * 0.5
        line = open_curve(
            np.array([[shift, -0.9], [shift, -0.2], [shift - 0.02, 0.25], [shift - 0.03, 0.6 * self.height]])
        )
        return band(line, 0.062)

    def bronchus(self, side: int) -> Points:
        """Main bronchus."""
        start = (self.pose.turned * 0.5 - 0.03, 0.57 * self.height)
        end = (side * 0.24, (0.78 if side < 0 else 0.82) * self.height)
        return band(np.array([start, end]), np.array([0.045, 0.034]))

    def hilum(self, side: int) -> tuple[float, float]:
        """Centre of the hilum; the left one is the higher."""
        return side * 0.25 + self.pose.turned * 0.5, (0.86 if side < 0 else 0.80) * self.height
