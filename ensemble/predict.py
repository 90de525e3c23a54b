"""Read a folder of radiographs: `python -m ensemble.predict FOLDER --output OUT [--bundle DIR]`.

OUT is made anew and holds

    triage.csv               every file with its verdict, the most probable pneumothorax first
    overlays/<as in FOLDER>  a picture of each study with a mask
    dicom/<as in FOLDER>     DICOM objects over the study: .seg.dcm, .gsps.dcm (outline), .sc.dcm (picture); see docs/dicom.md

With `--engine ray` a cluster reads, and OUT becomes an archive: tables in Parquet files, without pictures (docs/cluster.md).

The exit status is 0, or 3 when more files were refused than `--refused` allows, or 1 when nothing could be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pandas as pd
from tqdm import tqdm

from ensemble.inference import triage
from ensemble.inference.bundle import PATH, Bundle
from ensemble.inference.inputs import inputs
from ensemble.inference.predictor import Predictor, with_quota
from ensemble.inference.results_writer import KINDS, Results
from ensemble.rules.gate import Quota
from ensemble.runtimes import onnx_runtime
from imaging.io import command
from imaging.io.files import atomic_folder
from imaging.io.threads import cores, ordered_map

TRIAGE = "triage.csv"
TOO_MANY_REFUSED = 3


def main() -> None:
    """The command line."""
    given = _arguments()
    try:
        bundle = Bundle.load(given.bundle)
        if given.engine == "ray":
            refused = _on_ray(bundle, given)
        else:
            predictor = _predictor(bundle, given)
            dicom = KINDS if given.dicom is None else given.dicom
            table = predict(Path(given.folder), given.output, bundle, dicom, given.cascade, predictor)
            print(summary(table, given.output))
            refused = float((table["verdict"] == "refused").mean())
    except ValueError as error:
        sys.exit(str(error))
    sys.exit(TOO_MANY_REFUSED if refused > given.refused else 0)


def predict(
    folder: Path,
    output: Path,
    bundle: Bundle,
    dicom: Sequence[str],
    cascade: bool = True,
    predictor: Predictor | None = None,
) -> pd.DataFrame:
    """Write OUT, whole or not at all, and return its table. Memory holds a few batches of images and one row a file.

    predictor: the bundle's networks in another engine; None: in PyTorch."""
    if dicom and bundle.no_objects:
        raise ValueError(f"{bundle.no_objects}; give --dicom none")
    paths = inputs(folder)
    predictor = predictor or bundle.predictor()
    if isinstance(predictor.decision.rule, Quota):  # the share is one of this whole set
        predictor = with_quota(predictor, paths)
    with atomic_folder(output) as temporary:
        results = Results(folder, temporary, bundle, tuple(dicom))
        scored = tqdm(predictor.files(paths, cascade), "predict", len(paths), disable=None, unit="image")
        table = triage.table(list(ordered_map(results.write, scored, cores())))
        triage.write(table, temporary / TRIAGE)
    return table


def _on_ray(bundle: Bundle, given: argparse.Namespace) -> float:
    """Read into an archive and say so; the share of refused files."""
    from ensemble.cluster import ray_engine  # an extra, which takes seconds to import

    if given.dicom:
        raise ValueError("--engine ray writes tables alone; leave --dicom out, or take --engine local")
    exported = given.onnx or given.openvino
    runtime = "onnx" if given.onnx else "openvino"
    archive = ray_engine.predict(
        given.folder,
        given.output,
        bundle,
        given.cascade,
        exported and (str(exported.resolve()), given.precision, runtime),
        given.address,
        given.shard,
    )
    refused, masks = archive.counts()
    print(
        f"{archive.files - refused} read, {refused} refused, {masks} with a mask. Look at {given.output / 'shards'}\n"
        "For research, not for diagnosis."
    )
    return refused / archive.files


def _predictor(bundle: Bundle, given: argparse.Namespace) -> Predictor:
    """In the engine that the command line asks for."""
    if given.onnx is not None:
        return onnx_runtime.use(bundle.predictor(), given.onnx, given.precision)
    if given.openvino is not None:
        return onnx_runtime.use(bundle.predictor(), given.openvino, given.precision, "openvino")
    if given.precision != "fp32":
        raise ValueError(f"--precision {given.precision} needs --onnx or --openvino")
    return bundle.predictor()


def summary(table: pd.DataFrame, output: Path) -> str:
    """What was done and where to look."""
    refused, masks = (table["verdict"] == "refused").sum(), (table["decision"] == "mask").sum()
    lines = [
        f"{len(table) - refused} read, {refused} refused, {masks} with a mask. Look at {output / TRIAGE}"
    ]
    if masks:
        lines.append(f"Pictures: {output / 'overlays'}")
    without = table["dicom"].str.startswith("none").sum()
    if without:
        lines.append(f"{without} with a mask have no DICOM objects; the column `dicom` says why.")
    return "\n".join([*lines, "For research, not for diagnosis."])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="DICOM, PNG or JPEG files, at any depth; for --engine ray also a URL of a folder, or a text file with a path or URL "
        "a line",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder to make; it may not hold anything yet",
    )
    parser.add_argument("--bundle", type=Path, default=Path(PATH), help=f"trained networks (default: {PATH})")
    parser.add_argument("--dicom", type=_kinds, help="any of seg,gsps,sc, or none (default: all three)")
    parser.add_argument(
        "--no-cascade",
        dest="cascade",
        action="store_false",
        help="mask networks see every image; same answers",
    )
    exported = parser.add_mutually_exclusive_group()
    for option, runtime in (("--onnx", "ONNX Runtime"), ("--openvino", "OpenVINO")):
        exported.add_argument(
            option,
            type=Path,
            nargs="?",
            const=Path(onnx_runtime.PATH),
            metavar="DIR",
            help=f"ask the networks through {runtime}, faster on a CPU (default folder: {onnx_runtime.PATH})",
        )
    parser.add_argument(
        "--precision",
        choices=get_args(onnx_runtime.Precision),
        default="fp32",
        help="of --onnx or --openvino, where the export has found it to say the same (default: %(default)s)",
    )
    parser.add_argument(
        "--refused",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="that may be refused, 0 to 1 (default 0)",
    )
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="where the work is done")
    cluster = parser.add_argument_group("with --engine ray")
    cluster.add_argument(
        "--address", metavar="HOST:PORT", help="of a running cluster (default: one on this machine, now)"
    )
    cluster.add_argument(
        "--shard", type=int, default=1024, help="files a Parquet file (default: %(default)s)"
    )
    return parser.parse_args()


def _kinds(text: str) -> tuple[str, ...]:
    """`seg,gsps` as a tuple; `none` is empty."""
    kinds = () if text == "none" else tuple(text.split(","))
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r}; known: {', '.join(KINDS)}, or none")
    return kinds


if __name__ == "__main__":
    command.run(main)
