"""The free-response curve as a picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ensemble.evaluation.lesions.detection import RATES
from imaging.plotting import NEGATIVE, POSITIVE, new_figure

MOST = 2.0
"""False positives per image at the right end of the picture."""


def draw(curve: pd.DataFrame) -> Figure:
    """Sensitivity over false positives per image, with the points at RATES; curve as `detection.froc` gives it."""
    figure, (axes,) = new_figure(5.6, 4.2)
    alarms, found = (curve[name].to_numpy(np.float64) for name in ("false_positives", "sensitivity"))
    last = found[-1] if len(found) else 0.0
    end = alarms[-1] if len(alarms) else 0.0
    axes.step([0, *alarms], [0, *found], where="post", color=NEGATIVE)
    axes.plot([end, max(end, MOST)], [last, last], ":", color=NEGATIVE, label="no further candidates")
    axes.legend(loc="lower right")
    for rate in RATES:
        inside = alarms <= rate + 1e-12
        axes.plot(rate, found[inside].max() if inside.any() else 0.0, "o", color=POSITIVE, clip_on=False)
    axes.set(
        xlim=(0, MOST), ylim=(0, 1.01), xlabel="false positives per image", ylabel="share of lesions found"
    )
    axes.set_title("Free-response curve of lesions")
    return figure
