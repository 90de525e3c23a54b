"""Predict on studies with the trained networks and write a submission.

    python -m ensemble.submit                                 the configured test set, into submission.csv
    python -m ensemble.submit --images FOLDER --output FILE   any folder of DICOM, PNG, JPEG, TIFF or BMP files
    python -m ensemble.submit --refit                         with the networks of ensemble.refit, into submission-refit.csv

A submission has one row per image, `ImageId,EncodedPixels`, the mask as a run-length code in the image's own size or that of
`--side`, `-1` for none. The id is the file's name without an image extension. A file that cannot be read is written as
`refused`, never as empty; reports/submission/studies.csv gives the reason.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ensemble.decision import decision, refit
from ensemble.decision.decision import Prediction
from ensemble.inference import output, triage
from ensemble.inference.inputs import by_id, find
from ensemble.inference.names import inside
from ensemble.inference.predictor import Predictor, with_quota
from ensemble.rules.gate import Quota
from experiments.networks.refit import FOLDER as REFIT
from experiments.settings.decision import SubmitSettings
from imaging import rle
from imaging.io import command
from imaging.io.config import load_section, validate
from imaging.io.files import atomic, check_apart, write_png, write_text
from imaging.io.tables import read_csv
from imaging.settings import DataSettings
from imaging.sources import list_studies, siim

STUDIES = Path("reports/submission/studies.csv")
Files = dict[str, Path | None]
"""Path of each image id, in the order of the submission; None where there is no file."""


def main() -> None:
    """The DVC stage submit, or a folder named on the command line."""
    given = _arguments()
    made = given.output or Path("submission-refit.csv" if given.refit else "submission.csv")
    studies = STUDIES if made == Path("submission.csv") else made.with_suffix(".studies.csv")
    settings = SubmitSettings() if given.images else load_section("submit", SubmitSettings)
    if given.side is not None:
        values = {**settings.model_dump(), "side": given.side}
        settings = validate(SubmitSettings, values, "submit", {"side": "--side"})
    files, notes = _own(given.images, "--images") if given.images else test_files(settings)
    pictures = given.masks or (studies.parent / "masks" if settings.masks else None)
    _check_spared(files, given.images, (made, studies), pictures)
    for path in (made, studies):
        output.check_file(path, len(files))
    if pictures:
        output.check_folder_of_files(pictures, len(files))
    predictor = _predictor(given.refit)
    table = score(predictor, files, settings.side)
    write(table, made, studies)
    if pictures:
        write_masks(table, pictures)
    read, refused = int((table["verdict"] == "read").sum()), int((table["verdict"] == rle.REFUSED).sum())
    masks = int((table["area_px"] > 0).sum())
    if table.empty:
        print(f"{load_section('data', DataSettings).folder}: no test studies, so the submission is empty.")
    print(f"{read} read, {refused} refused; {masks} with a mask. Written: {made}; reasons: {studies}")
    print("\n".join(notes), end="\n" if notes else "")


def _check_spared(files: Files, images: Path | None, written: tuple[Path, Path], masks: Path | None) -> None:
    """ValueError where a file to be written is one of the images, or the folders of images and masks are nested."""
    read = {path.resolve() for path in files.values() if path is not None}
    for path in written:
        if path.resolve() in read:
            raise ValueError(
                f"{path}: is one of the images and would be overwritten; name another file with --output"
            )
    if masks is None:
        return
    if masks.resolve() in [path.resolve() for path in written]:
        raise ValueError(f"--masks {masks}: is also the name of a table to be written; name another folder")
    if images is not None and images.is_dir():
        check_apart(masks, "--masks", {"the folder of the images": images})
    if any(masks.resolve() in path.parents for path in read):
        raise ValueError(f"--masks {masks}: contains images that are read; name another folder")


def _predictor(refitted: bool) -> Predictor:
    """The finished run's networks or those of `ensemble.refit`; ValueError names the command that makes them."""
    path, maker = refit.PATH, "python -m ensemble.refit"
    if not refitted:
        path, maker = decision.PATH, "dvc repro fit_ensemble"
    try:
        return Predictor.load(REFIT, path) if refitted else Predictor.load()
    except ValueError:
        if Path(path).exists():
            raise
        raise ValueError(f"{path}: no such file; `{maker}` makes it") from None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.submit",
        description="Write a submission, with the networks of the finished run in this folder (models/), not those of a bundle.",
    )
    parser.add_argument(
        "--images",
        type=command.place,
        help="a file, or a folder of images at any depth (default: the configured test set)",
    )
    parser.add_argument("--output", type=command.place, help="the file to write (default: submission.csv)")
    parser.add_argument("--refit", action="store_true", help="use the networks of `ensemble.refit`")
    parser.add_argument(
        "--side",
        type=int,
        help="encode masks as squares of this side, 1024 on Kaggle (default: each image's own size)",
    )
    parser.add_argument(
        "--masks",
        type=command.place,
        help="folder in which to write each mask as a picture, 0 and 255 (default: none)",
    )
    return parser.parse_args()


def _own(images: Path, option: str) -> tuple[Files, list[str]]:
    """Ids and files of a folder that somebody names, and what was left out of it."""
    found = find(images, option=option)
    return by_id(found, option), found.notes


def test_files(settings: SubmitSettings) -> tuple[Files, list[str]]:
    """Ids and files of the configured test set, and notes; None where a file of the sample submission is missing.

    A sample submission names the rows and their order; images that it does not name are left out, and counted in a note. The
    source's own sample is of its own test set, so that images of another folder are all kept.
    """
    data, notes = load_section("data", DataSettings), list[str]()
    own = settings.images is not None and Path(settings.images) != Path(data.folder)
    if own:
        found, notes = _own(Path(str(settings.images)), "submit.images")
    else:
        records = list_studies(data).records
        tests = records[records["split"] == "test"]
        found = {name: Path(path) for name, path in zip(tests["image_id"], tests["path"], strict=True)}
    sample = settings.sample or data.folder
    if Path(sample).is_dir():  # a source's sample lists the source's own test set
        ids = None if own else siim.submission_ids(sample)
    elif Path(sample).is_file():
        ids = sample_ids(sample)
    else:
        key = "data.folder" if settings.sample is None else "submit.sample"
        raise ValueError(f"{key} {sample}: no such file or folder")
    if not (ids or found) and data.source == "siim":  # the other sources need not have a test set
        raise ValueError(
            f"data.folder {data.folder!r}: no test studies; set `submit.images` to a folder of them"
        )
    if ids is None:
        return found, notes
    others = len(found.keys() - set(ids))
    left = f"{others} images are not in the sample submission {sample} and were left out."
    return {name: found.get(name) for name in ids}, [*notes, *[left] * bool(others)]


def sample_ids(path: str) -> list[str]:
    """The ids of a sample submission, each once."""
    return list(dict.fromkeys(siim.column(read_csv(path), "ImageId", path)))


def score(predictor: Predictor, files: Files, side: int | None = None) -> pd.DataFrame:
    """One row per id: image_id, verdict (read or refused), reason, prob, area_px, height, width (of the mask: `side`, or
    the image's own), code.
    """
    present = {path: name for name, path in files.items() if path is not None}
    if present and isinstance(predictor.decision.rule, Quota):  # its share refers to this set of studies
        predictor = with_quota(predictor, present)
    rows = {name: _refused(name, "in the sample submission, but there is no such file") for name in files}
    for file in tqdm(predictor.files(present, side=side), "score", len(present), disable=None, unit="image"):
        name = present[file.path]
        rows[name] = (
            _read(name, file.prediction)
            if file.prediction
            else _refused(name, file.refusal.message if file.refusal else "")
        )
    return pd.DataFrame(rows.values(), columns=list(_refused("", "")))


def write(table: pd.DataFrame, submission: Path, studies: Path) -> None:
    """Write the submission and each study's verdict; the submission is read back and checked before it takes its name."""
    with atomic(submission) as temporary:
        rows = table[["image_id", "code"]].set_axis(["ImageId", "EncodedPixels"], axis=1)
        rows.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
        check(temporary, table)
    texts = {name: table[name].map(triage.for_spreadsheets) for name in ("image_id", "reason")}
    reasons = table.assign(**texts).drop(columns="code")
    write_text(studies, reasons.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def write_masks(table: pd.DataFrame, folder: Path) -> None:
    """Write each read image's mask as `<image id>.png`, 0 and 255, in the size that the table gives."""
    for row in table[table["verdict"] == "read"].to_dict("records"):
        mask = rle.decode(row["code"], (row["height"], row["width"]))
        write_png(folder / inside(Path(row["image_id"]), ".png"), mask.astype(np.uint8) * np.uint8(255))


def check(path: Path, table: pd.DataFrame) -> None:
    """A ValueError when the file does not hold each id once, with a code of its mask's area."""
    found = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(found["ImageId"]) != list(table["image_id"]) or not found["ImageId"].is_unique:
        raise ValueError(f"{path}: the ids read back are not those written, each once")
    for row, code in zip(table.to_dict("records"), found["EncodedPixels"], strict=True):
        if (
            code != rle.REFUSED
            and np.count_nonzero(rle.decode(code, (row["height"], row["width"]))) != row["area_px"]
        ):
            raise ValueError(f"{path}: the code of {row['image_id']} does not give back its mask")


def _read(name: str, found: Prediction) -> dict[str, object]:
    height, width = found.mask.shape
    return {
        "image_id": name, "verdict": "read", "reason": found.reason, "prob": found.prob,
        "area_px": int(np.count_nonzero(found.mask)), "height": height, "width": width, "code": rle.encode(found.mask),
    }  # fmt: skip


def _refused(name: str, reason: str) -> dict[str, object]:
    return {
        "image_id": name, "verdict": rle.REFUSED, "reason": reason, "prob": float("nan"),
        "area_px": 0, "height": 0, "width": 0, "code": rle.REFUSED,
    }  # fmt: skip


if __name__ == "__main__":
    command.run(main)
