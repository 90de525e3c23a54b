"""Predict on radiographs: `python -m ensemble.predict FOLDER|FILE --output OUT [--bundle DIR]`.

OUT is created and holds

    triage.csv               every file with its result, the most probable pneumothorax first
    overlays/<as in FOLDER>  a picture of each study with a mask
    dicom/<as in FOLDER>     DICOM objects: .sr.dcm (report) for every DICOM study, and with a mask .seg.dcm, .gsps.dcm
                             (outline) and .sc.dcm (picture); see docs/dicom.md

A killed run is resumed by the same command. With `--engine ray` a cluster predicts, and OUT becomes an archive: tables
in Parquet files, without pictures (docs/cluster.md).

The exit status is 0, or 3 when more files were refused than `--refused` allows, or 1 when nothing could be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import chain, starmap
from pathlib import Path
from typing import get_args

import pandas as pd
from tqdm import tqdm

from ensemble.inference import journal, output, triage
from ensemble.inference.bundle import PATH, Bundle
from ensemble.inference.inputs import Inputs, find
from ensemble.inference.predictor import Predictor, Scored, with_quota
from ensemble.inference.results_writer import KINDS, Results
from ensemble.rules.gate import Quota
from ensemble.runtimes import onnx_runtime
from imaging.decoding.radiograph import RefusedFile
from imaging.io import command
from imaging.io.files import fingerprint
from imaging.io.threads import cores, ordered_map

TOO_MANY_REFUSED = 3
SHARD = 1024
"""Files per Parquet file of a cluster's archive."""


def main() -> None:
    """The command line."""
    given = _arguments()
    _check_options(given)
    bundle = Bundle.load(given.bundle)
    if given.engine == "ray":
        refused = _on_ray(bundle, given)
    else:
        inputs = find(Path(given.folder), given.output)
        output.check_folder(given.output, len(inputs.files))
        predictor, engine = _predictor(bundle, given)
        dicom = KINDS if given.dicom is None else given.dicom
        table = predict(inputs, given.output, bundle, dicom, given.cascade, predictor, engine)
        warning = [f"Warning: {bundle.warning}."] * bool(bundle.warning)
        print(summary(table, given.output, [*inputs.notes, *warning]))
        refused = float((table["verdict"] == "refused").mean())
    if refused > given.refused:
        print(
            f"Exit status {TOO_MANY_REFUSED}: {refused:.3g} of the files were refused, but --refused allows "
            f"{given.refused:g}; the reasons are in the results",
            file=sys.stderr,
        )
        sys.exit(TOO_MANY_REFUSED)


def predict(
    inputs: Inputs,
    out: Path,
    bundle: Bundle,
    dicom: Sequence[str],
    cascade: bool = True,
    predictor: Predictor | None = None,
    engine: str = "torch",
) -> pd.DataFrame:
    """Write OUT atomically and return its table. Memory holds a few batches of images and one row per file.

    predictor: the bundle's networks in another engine, which `engine` names; None: in PyTorch. Studies that a killed run of the
    same bundle and settings finished are not redone.
    """
    if dicom and bundle.no_objects:
        raise ValueError(f"{bundle.no_objects}; give --dicom none")
    predictor = predictor or bundle.predictor()
    names = {path: inputs.name(path) for path in [*inputs.files, *inputs.refused]}
    states = {path: journal.state_of(path) for path in names}
    key = {
        "folder": str(inputs.folder.resolve()), "bundle": bundle.sha256, "dicom": list(dicom), "cascade": cascade,
        "engine": engine,
    }  # fmt: skip
    if isinstance(predictor.decision.rule, Quota):  # its share refers to this set of studies
        predictor = with_quota(predictor, inputs.files)
        key["studies"] = fingerprint(sorted((str(path), state) for path, state in states.items()))
    with journal.partial_output(out, key) as kept:
        results = Results(kept.folder, bundle, tuple(dicom))

        def write(one: Scored) -> None:
            name, state = names[one.path], states[one.path]
            kept.add(name, state, *results.write(one, name, state))

        missing = [path for path in inputs.files if not kept.finished(names[path], states[path])]
        scored = chain(starmap(_refused, inputs.refused.items()), predictor.files(missing, cascade))
        for _ in tqdm(
            ordered_map(write, scored, cores()), "predict", len(missing), disable=None, unit="image"
        ):
            pass
        kept.remove_others(names.values())
        table = triage.table(kept.rows(names.values()))
        triage.write(table, kept.folder / triage.FILE)
    return table


def _refused(path: Path, refusal: RefusedFile) -> Scored:
    return Scored(path, refusal=refusal)


def _on_ray(bundle: Bundle, given: argparse.Namespace) -> float:
    """Predict into an archive and print the counts; returns the share of refused files."""
    from ensemble.cluster import ray_engine  # an extra, which takes seconds to import

    exported = given.onnx or given.openvino
    runtime = "onnx" if given.onnx else "openvino"
    archive = ray_engine.predict(
        given.folder,
        given.output,
        bundle,
        given.cascade,
        exported and (str(exported.resolve()), given.precision, runtime),
        given.address,
        SHARD if given.shard is None else given.shard,
    )
    refused, masks = archive.counts()
    print(
        f"{archive.files - refused} read, {refused} refused, {masks} with a mask. Results: {given.output / 'shards'}\n"
        "For research, not for diagnosis."
    )
    return refused / archive.files


def _predictor(bundle: Bundle, given: argparse.Namespace) -> tuple[Predictor, str]:
    """The predictor in the engine that the command line requests, and that engine's name."""
    if given.onnx is not None:
        made = onnx_runtime.use(bundle.predictor(), given.onnx, given.precision, bundle=bundle.sha256)
        return made, f"onnx {given.precision}"
    if given.openvino is not None:
        made = onnx_runtime.use(
            bundle.predictor(), given.openvino, given.precision, "openvino", bundle=bundle.sha256
        )
        return made, f"openvino {given.precision}"
    return bundle.predictor(), "torch"


def _check_options(given: argparse.Namespace) -> None:
    """ValueError for options that would be ignored, and for an empty name, which would be the working directory."""
    if not given.folder:
        raise ValueError("FOLDER is empty; name a file or a folder")
    if given.precision != "fp32" and given.onnx is None and given.openvino is None:
        raise ValueError(f"--precision {given.precision} needs --onnx or --openvino")
    if given.engine == "ray":
        if given.dicom:
            raise ValueError("--engine ray writes only tables; leave out --dicom, or use --engine local")
        return
    for option, value in (("--address", given.address), ("--shard", given.shard)):
        if value is not None:
            raise ValueError(f"{option} {value}: needs --engine ray")


def summary(table: pd.DataFrame, out: Path, notes: Sequence[str] = ()) -> str:
    """The counts, and where the results are."""
    refused, masks = (table["verdict"] == "refused").sum(), (table["decision"] == "mask").sum()
    lines = [
        f"{len(table) - refused} read, {refused} refused, {masks} with a mask. Results: {out / triage.FILE}",
        *notes,
    ]
    if masks:
        lines.append(f"Pictures: {out / 'overlays'}")
    if without := table["dicom"].str.startswith("none").sum():
        lines.append(f"Without DICOM objects: {without:,}; the column `dicom` says why.")
    if failed := table["dicom"].str.contains("not made", regex=False).sum():
        lines.append(
            f"{failed} studies lack a DICOM object that could not be made; the column `dicom` says which."
        )
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
        help="a file, or a folder of DICOM, PNG, JPEG, TIFF or BMP files at any depth; for --engine ray also "
        "the URL of a folder, or a text file with one path or URL per line",
    )
    parser.add_argument(
        "--output",
        type=command.place,
        required=True,
        metavar="OUT",
        help="folder to create; it must be empty or missing",
    )
    parser.add_argument(
        "--bundle", type=command.place, default=Path(PATH), help=f"trained networks (default: {PATH})"
    )
    parser.add_argument("--dicom", type=_kinds, help="any of seg,gsps,sc,sr, or none (default: all)")
    parser.add_argument(
        "--no-cascade",
        dest="cascade",
        action="store_false",
        help="run the mask networks on every image; the results are the same",
    )
    exported = parser.add_mutually_exclusive_group()
    for option, runtime in (("--onnx", "ONNX Runtime"), ("--openvino", "OpenVINO")):
        exported.add_argument(
            option,
            type=command.place,
            nargs="?",
            const=Path(onnx_runtime.PATH),
            metavar="DIR",
            help=f"run the networks in {runtime}, faster on a CPU (default folder: {onnx_runtime.PATH})",
        )
    parser.add_argument(
        "--precision",
        choices=get_args(onnx_runtime.Precision),
        default="fp32",
        help="precision for --onnx or --openvino, if the export accepted it (default: %(default)s)",
    )
    parser.add_argument(
        "--refused",
        type=command.share,
        default=0.0,
        metavar="SHARE",
        help="share of files that may be refused, 0 to 1 (default: 0)",
    )
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="where to run")
    cluster = parser.add_argument_group("with --engine ray")
    cluster.add_argument(
        "--address", metavar="HOST:PORT", help="a running cluster (default: start one on this machine)"
    )
    cluster.add_argument("--shard", type=int, help=f"files per Parquet file (default: {SHARD})")
    return parser.parse_args()


def _kinds(text: str) -> tuple[str, ...]:
    """`seg,gsps` as a tuple; `none` is empty."""
    kinds = () if text == "none" else tuple(text.split(","))
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r}; known: {', '.join(KINDS)}, or none")
    return kinds


if __name__ == "__main__":
    command.run(main)
