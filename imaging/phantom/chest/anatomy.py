"""The outlines of a chest as polygons.

Unit: half the inner width of the thorax (about 14 cm). x to the right of the image (the patient's left), 0 on the
midline; y downwards, 0 at the lung apex. `side` is -1 for the patient's right lung (left in the image), +1 for the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imaging.phantom.canvas import FULL, WORK, Points, band, closed_curve, ellipse, open_curve
from imaging.phantom.chest.patient import Build, Pose

THORAX_MM = 140.0
"""Half the inner width of an adult's thorax: one unit."""


@lru_cache(maxsize=64)
def _parsed(text: str) -> Points:
    return np.array([[float(number) for number in pair.split()] for pair in text.split(",")])


def points(text: str) -> Points:
    """Points written as `x y, x y, …`, (N, 2); a new array at each call."""
    return _parsed(text).copy()


@dataclass(frozen=True)
class Chest:
    """Outlines of one patient in one pose; the methods return polygons (N, 2) in anatomical units."""

    build: Build
    pose: Pose

    @property
    def height(self) -> float:
        """Factor on y for lungs of this patient at this inspiration."""
        return self.build.lung * self.pose.inspiration

    @property
    def mm(self) -> float:
        """Millimetres of one pixel of the full-size radiograph."""
        return THORAX_MM / (self.pose.unit * FULL / WORK)

    def to_pixels(self, outline: Points, size: int = WORK) -> Points:
        """Anatomical units to pixel coordinates of a (size, size) picture."""
        c, s = np.cos(self.pose.angle), np.sin(self.pose.angle)
        x, y = outline[:, 0], outline[:, 1]
        turned = np.stack([c * x - s * y, s * x + c * y], 1)
        return (turned * self.pose.unit + (self.pose.x, self.pose.y)) * (size / WORK)

    def radius(self, units: float, size: int = WORK) -> float:
        """A length in pixels of a (size, size) picture."""
        return units * self.pose.unit * size / WORK

    def vary(self, number: int, amount: float) -> float:
        """The patient's deviation `number` (0..15), scaled to standard deviation `amount`."""
        return self.build.shape[number] * amount

    def wall(self, y: Points) -> Points:
        """Half inner width of the thorax at height y."""
        knots = np.array([0.0, 0.06, 0.16, 0.32, 0.55, 0.85, 1.2, 1.55, 1.95, 2.4])
        width = np.array([0.47, 0.58, 0.68, 0.77, 0.845, 0.91, 0.965, 1.0, 0.99, 0.95])
        width += self.vary(0, 0.022) * (1 - knots / 1.2)
        return np.interp(y / self.height, knots, width)

    def midline(self, y: Points) -> Points:
        """x of the spine at height y."""
        return self.build.scoliosis * np.sin(y * 1.9)

    def envelope(self, side: int) -> Points:
        """The whole pleural space, including the part behind diaphragm and heart."""
        lateral = np.array([0.02, 0.09, 0.2, 0.4, 0.65, 0.95, 1.25, 1.55, 1.85, 2.02]) * self.height
        outer = np.stack([self.wall(lateral), lateral], 1)
        inner = points(".86 2.08, .5 2.06, .16 1.98, .12 1.6, .12 1.1, .11 .7, .13 .4, .155 .15, .235 -.005")
        top = np.array([[0.36 + self.vary(1, 0.02), -0.055 + self.vary(2, 0.02)]])
        return closed_curve(np.concatenate([top, outer, inner * (1, self.height)])) * (side, 1)

    def dome_height(self, side: int) -> float:
        """y of the top of the diaphragm; the right one is usually higher."""
        return (1.60 + self.vary(3, 0.07) if side < 0 else 1.66 + self.vary(4, 0.07)) * self.height

    def below_diaphragm(self, side: int) -> Points:
        """Everything below one side's dome, down to below the image."""
        top, steep = self.dome_height(side), 1 + self.vary(5 if side < 0 else 6, 0.18)
        dome = points("0 .1, .2 .055, .42 0, .62 .02, .8 .11, .92 .21, 1.0 .34, 1.3 .5")
        dome[:, 0] += (self.vary(7, 0.04) + 0.03 * side) * np.array([0, 0.5, 1, 1, 0.6, 0.3, 0, 0])
        dome[:, 1] = np.minimum(top + dome[:, 1] * steep, 2.05 * self.height + dome[:, 1])
        return np.concatenate([open_curve(dome), [[1.4, 4.0], [0.0, 4.0]]]) * (side, 1)

    def heart(self) -> Points:
        """Heart with the outflow tract."""
        wide, long = self.build.heart * (1.12 if self.pose.view == "AP" else 1.0), self.height
        outline = points(
            "0 .68, .14 .72, .24 .86, .33 1.02, .47 1.24, .58 1.46, .6 1.62, .5 1.76, .2 1.84, -.12 1.84,"
            "-.26 1.72, -.31 1.48, -.29 1.25, -.22 1.05, -.14 .84"
        )
        outline[3:7, 0] += np.array([1.0, 0.6, -0.3, -0.6]) * self.vary(8, 0.04)
        outline[11:14, 0] += self.vary(9, 0.03)
        return closed_curve(outline * (wide, long) + (self.pose.turned, 0))

    def mediastinum(self) -> Points:
        """Upper mediastinum: superior vena cava on the right, aortic knob on the left; the aorta unfolds with age."""
        wide = (1.15 if self.pose.view == "AP" else 1.0) * (1 + self.vary(10, 0.07))
        knob = 0.035 * np.clip((self.build.age - 40) / 30, -1, 1.3) + self.vary(11, 0.015)
        outline = points(
            "-.1 -.6, .1 -.6, .1 .05, .12 .3, .185 .42, .23 .52, .2 .63, .19 .74, .22 .9, .1 1.15, -.08 1.15,"
            "-.18 .78, -.175 .5, -.15 .25, -.12 0"
        )
        outline[4:7, 0] += knob
        return closed_curve(outline * (wide, self.height) + (self.pose.turned, 0))

    def torso(self) -> Points:
        """Skin of chest and abdomen."""
        chest = 1.14 + 0.42 * self.build.stout
        belly = chest * (0.98 + 0.16 * self.build.stout) * (1 + self.vary(12, 0.03))
        half = points(".3 -.3, .75 -.1, .95 .2, .98 .6, 1 1, 1 1.5, 1 2.1, 1 3.2")
        half[3:6, 0] *= chest
        half[6:, 0] *= belly
        return closed_curve(np.concatenate([half, half[::-1] * (-1, 1)]))

    def shoulders(self, side: int) -> Points:
        """Trapezius, deltoid and the soft tissue around the shoulder blade."""
        wide = side * (1.0 + 0.15 * self.build.stout)
        outline = points(
            "0 -.75, .27 -.62, .36 -.42, .62 -.3, 1.1 -.2, 1.45 -.06, 1.66 .3, 1.72 .8, 1.5 1,"
            "1.18 .95, .9 1.05, .3 .7, 0 .4"
        )
        outline[3:6, 1] += 0.12 * self.pose.shoulders + self.vary(13, 0.03)
        return closed_curve(outline * (wide, 1))

    def pectoral(self, side: int) -> Points:
        """Pectoralis major with the axillary fold."""
        outline = points("1.4 .2, 1.15 .75, .95 .95, .72 .98, .4 .92, .2 .8, .2 .35, .6 .2, 1.1 .08")
        outline[1:5, 1] += self.vary(14, 0.06)
        return closed_curve(outline) * (side, 1)

    def arm(self, side: int) -> Points:
        """Upper arm: away from the body in PA, along it in AP."""
        out = 0.35 * (1 - self.pose.shoulders)
        wide = 1.0 + 0.15 * self.build.stout
        line = points("1.42 .15, 1.5 .9, 1.48 1.6, 1.45 4") * (wide, 1) + np.outer([0, 0.6, 1, 1.6], [out, 0])
        return band(open_curve(line), 0.2 + 0.1 * self.build.stout) * (side, 1)

    def neck(self) -> Points:
        """Neck."""
        return band(points("0 -1.6, 0 -.8, 0 .2"), 0.33 + 0.08 * self.build.stout)

    def head(self) -> Points:
        """Lower half of the head: jaw and chin, at the upper border of some pictures."""
        return ellipse((self.pose.turned, -1.12), (0.45, 0.6))

    def breast(self, side: int) -> Points:
        """One breast."""
        size = 0.38 + 0.12 * self.build.breast
        x, y = side * (0.56 + self.vary(15, 0.03)), 1.42 + 0.12 * self.build.breast
        return ellipse((x, y), (size, size * 0.95), side * 0.3)

    def trachea(self) -> Points:
        """Trachea down to the carina."""
        shift = self.pose.turned * 0.5
        line = points("0 -.9, 0 -.2, -.02 .25, -.03 .6") * (1, self.height) + (shift, 0)
        return band(open_curve(line), 0.062)

    def bronchus(self, side: int) -> Points:
        """Main bronchus."""
        start = (self.pose.turned * 0.5 - 0.03, 0.57 * self.height)
        end = (side * 0.24, (0.78 if side < 0 else 0.82) * self.height)
        return band(np.array([start, end]), np.array([0.045, 0.034]))

    def hilum(self, side: int) -> tuple[float, float]:
        """Centre of the hilum; the left one is higher."""
        return side * 0.25 + self.pose.turned * 0.5, (0.86 if side < 0 else 0.80) * self.height
