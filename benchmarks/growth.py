"""Time and memory of every stage that reads images, as their number grows. `python benchmarks/growth.py --run RUN`

RUN is a folder in which `dvc repro` has finished: its params.yaml, its bundle and its networks are used, with the networks
marked as trained on the studies made here (their answers are meaningless; the work is the same). The studies are small
generated DICOM files, all different. Each stage runs as its users run it, in its own process, which is monitored from outside:
resident memory, open files, processes left behind. `predict` and `submit` read the files themselves, `folds` runs the networks
over prepared images, `fit` and `evaluate` read those predictions. Sizes are 1, 4 and 16 times 1,250 (`--images`); `--figure`
draws memory over time at the largest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import timing
from experiments.networks import weights
from imaging import plotting, rle
from imaging.io.files import read_json
from imaging.phantom import dicom_writer
from tests.imaging import dicom_files

ROOT = Path(__file__).resolve().parents[1]
SIDE = 256
FOLDER = "data/dicom-images-train"


def stages(run: Path) -> dict[str, list[list[str]]]:
    """Name -> commands, in their order."""
    params = yaml.safe_load((run / "params.yaml").read_text())
    bundle = ["--bundle", str((run / "models/bundle").resolve()), "--dicom", "none"]
    parts = [
        (stage, name) for stage in ("classification", "segmentation") for name in params[stage]["models"]
    ]
    return {
        "prepare": [["-m", "imaging.prepare"]],
        "split": [["-m", "imaging.split"]],
        "folds": [["-m", f"{stage}.predict", name] for stage, name in parts],
        "fit": [["-m", "ensemble.fit"]],
        "evaluate": [["-m", "ensemble.evaluate"]],
        "predict": [["-m", "ensemble.predict", FOLDER, "--output", "out", *bundle]],
        "submit": [["-m", "ensemble.submit", "--images", FOLDER, "--output", "scores.csv"]],
    }


@dataclass
class Watched:
    """What one stage did."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    """Seconds since its start."""
    memory: list[float] = field(default_factory=list)
    """Resident megabytes of the process and its children, without pages of mapped files."""
    files: int = 0
    """Maximum number of files open at once."""
    left: int = 0
    """Children that outlived it."""


def study(folder: Path, number: int) -> str:
    """Write one small study; the row of the label file."""
    random = np.random.default_rng(number)
    picture = cv2.resize(
        random.integers(0, 256, (12, 12), np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    uid = dicom_writer.uid(0, number, "sop")
    frame = dicom_files.jpeg(picture)
    elements = {"SOPInstanceUID": uid, "PatientID": uid, "PatientAge": "050Y", "PatientSex": "F"}
    dicom_files.write_frame(folder / f"{uid}.dcm", frame, dicom_writer.JPEGBaseline8Bit, picture, **elements)
    mask = np.zeros((SIDE, SIDE), bool)
    if number % 5 == 0:
        mask[20:80, 30:90] = True
    return f"{uid},{rle.encode(mask)}"


def make(root: Path, count: int, run: Path) -> None:
    """A working folder with `count` studies and the trained run's params and models."""
    folder = root / "data" / "dicom-images-train"
    folder.mkdir(parents=True)
    rows = [study(folder, number) for number in range(count)]
    (root / "data" / "train-rle.csv").write_text("\n".join(["ImageId,EncodedPixels", *rows]) + "\n")
    params = yaml.safe_load((run / "params.yaml").read_text())
    params["data"] = {**params["data"], "source": "siim", "folder": "data"}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def adopt(root: Path, run: Path) -> None:
    """Copy the run's networks and set the data prepared here as their training data."""
    data = read_json(root / "data/prepared/fingerprint.json")
    for path in (run / "models").glob("*/*/fold*.safetensors"):
        weights.save(
            root / path.relative_to(run), weights.load_state(path), {**weights.load_facts(path), "data": data}
        )


def watch(root: Path, command: list[str], seen: Watched) -> None:
    """Run a command and sample it five times per second."""
    start = time.perf_counter() - seen.seconds
    process = subprocess.Popen(
        [sys.executable, *command], cwd=root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"},
        start_new_session=True,
    )  # fmt: skip
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            family = _session(process.pid)
            seen.times.append(time.perf_counter() - start)
            seen.memory.append(sum(map(_anonymous_mb, family)))
            seen.files = max(seen.files, sum(map(_open_files, family)))

    looker = threading.Thread(target=look)
    looker.start()
    code = process.wait()
    seen.seconds = time.perf_counter() - start
    done.set()
    looker.join()
    seen.left += len(_session(process.pid))
    if code:
        sys.exit(f"{' '.join(command)} ended with {code}")


def _session(leader: int) -> list[int]:
    """Live processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def _anonymous_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def draw(runs: dict[str, Watched], path: Path, count: int) -> None:
    """Memory of each stage over time."""
    columns = (len(runs) + 1) // 2
    figure, axes = plotting.new_figure(3.2 * columns, 5.2, 2, columns)
    for axis in axes[len(runs) :]:
        axis.set_axis_off()
    for axis, (stage, seen) in zip(axes, runs.items(), strict=False):
        axis.plot(seen.times, seen.memory, color=plotting.SERIES[0])
        axis.set(title=f"{stage}, {count:,} studies", xlabel="seconds", ylabel="MB", ylim=(0, None))
    plotting.save(figure, path)


def main() -> None:
    """Print a table; draw the largest size's memory when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=ROOT)
    parser.add_argument("--images", type=int, nargs="+", default=[1250, 5000, 20000])
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--only", nargs="+", help="stages (default: all); each needs those before it")
    given = parser.parse_args()
    print(timing.machine())
    print(
        f"{'stage':10}{'studies':>9}{'seconds':>9}{'a second':>10}{'peak MB':>9}{'to first':>9}{'files':>7}{'left':>6}"
    )
    first: dict[str, float] = {}
    for count in given.images:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), count, given.run)
            runs: dict[str, Watched] = {}
            for stage, commands in stages(given.run).items():
                if given.only and stage not in given.only:
                    continue
                runs[stage] = Watched()
                for command in commands:
                    watch(Path(folder), command, runs[stage])
                if stage == "split":
                    adopt(Path(folder), given.run)
        for stage, seen in runs.items():
            peak = max(seen.memory, default=0.0)
            first.setdefault(stage, peak)
            print(
                f"{stage:10}{count:9,}{seen.seconds:9.1f}{count / seen.seconds:10.1f}{peak:9.0f}"
                f"{peak / max(first[stage], 1):9.2f}{seen.files:7}{seen.left:6}", flush=True,
            )  # fmt: skip
        if given.figure and count == max(given.images):
            draw(runs, given.figure, count)


if __name__ == "__main__":
    main()
