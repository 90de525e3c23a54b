"""Rewritten graphs say the same, and are rewritten where they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from ensemble.runtimes.graph_rewrite import blocks, doubled, rewritten

RNG = np.random.default_rng(0)
SIDE = 8


def model(*nodes: Any, weights: dict[str, np.ndarray], side: int = SIDE) -> onnx.ModelProto:
    """Of an image (batch, 4, s, s), `x`, and a second one of twice the size with 3 channels, `skip`; gives `y`."""
    described = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, side, side]),
        helper.make_tensor_value_info("skip", TensorProto.FLOAT, ["batch", 3, 2 * side, 2 * side]),
    ]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", None, None, None])
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        list(nodes), "g", [value for value in described if value.name in used], [out], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def double(source: str = "x", out: str = "big", **changed: Any) -> Any:
    given = {
        "mode": "nearest",
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
        **changed,
    }
    return helper.make_node("Resize", [source, "", "twice"], [out], **given)


def conv(source: str, out: str = "y", bias: bool = True, **changed: Any) -> Any:
    given = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], **changed}
    return helper.make_node("Conv", [source, f"w{out}", *([f"b{out}"] * bias)], [out], **given)


def join(*parts: str) -> Any:
    return helper.make_node("Concat", list(parts), ["joined"], axis=1)


def of(outputs: int, inputs: int, out: str = "y") -> dict[str, np.ndarray]:
    return {f"w{out}": RNG.normal(size=(outputs, inputs, 3, 3)), f"b{out}": RNG.normal(size=outputs)}


ADD_X = helper.make_node("Add", ["big", "big"], ["sum"])
CASES = {
    # name: (model, operations that are left)
    "doubled alone": (model(double(), conv("big"), weights=of(5, 4)), ["ConvTranspose"]),
    "without bias": (model(double(), conv("big", bias=False), weights=of(5, 4)), ["ConvTranspose"]),
    "joined first": (
        model(double(), join("big", "skip"), conv("joined"), weights=of(5, 7)),
        ["ConvTranspose", "Conv", "Add"],
    ),
    "joined last": (
        model(double(), join("skip", "big"), conv("joined"), weights=of(5, 7)),
        ["ConvTranspose", "Conv", "Add"],
    ),
    "between two": (
        model(double(), join("skip", "big", "skip"), conv("joined"), weights=of(5, 10)),
        ["ConvTranspose", "Concat", "Conv", "Add"],
    ),
    "asked for elsewhere too": (
        model(double(), ADD_X, join("big", "sum"), conv("joined"), weights=of(5, 8)),
        ["Resize", "Add", "ConvTranspose", "Conv", "Add"],
    ),
    "in a row": (
        model(
            double(), conv("big", "small"), double("small", "large"), conv("large"),
            weights={**of(3, 4, "small"), **of(5, 3)},
        ),
        ["ConvTranspose", "ConvTranspose"],
    ),
    "one output": (model(conv("x"), weights=of(1, 4)), ["Conv", "DepthToSpace"]),
    "two outputs": (model(conv("skip"), weights=of(2, 3)), ["Conv", "DepthToSpace"]),
    "one output of a doubled one": (model(double(), conv("big"), weights=of(1, 4)), ["ConvTranspose"]),
    # left as they are
    "many outputs": (model(conv("x"), weights=of(3, 4)), ["Conv"]),
    "a side that blocks do not fill": (model(conv("x"), weights=of(1, 4), side=6), ["Conv"]),
    "bilinear": (
        model(double(mode="linear", coordinate_transformation_mode="half_pixel"), conv("big"), weights=of(5, 4)),
        ["Resize", "Conv"],
    ),
    "from the corners": (
        model(double(coordinate_transformation_mode="align_corners"), conv("big"), weights=of(5, 4)),
        ["Resize", "Conv"],
    ),
    "two steps": (model(double(), conv("big", strides=[2, 2]), weights=of(5, 4)), ["Resize", "Conv"]),
    "dilated": (
        model(double(), conv("big", dilations=[2, 2], pads=[2] * 4), weights=of(5, 4)),
        ["Resize", "Conv"],
    ),
    "no border": (model(double(), conv("big", pads=[0] * 4), weights=of(5, 4)), ["Resize", "Conv"]),
    "in groups": (model(double(), conv("big", group=2), weights=of(4, 2)), ["Resize", "Conv"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_same_numbers_from_other_operations(name: str) -> None:
    source, operations = CASES[name]
    found = rewritten(source)
    assert [node.op_type for node in found.graph.node] == operations
    given = [(value.name, value.type.tensor_type.shape.dim) for value in source.graph.input]
    asked = {
        name: RNG.normal(size=(2, *(d.dim_value for d in dims[1:]))).astype(np.float32)
        for name, dims in given
    }
    one, other = (
        InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, asked)[0]
        for m in (source, found)
    )
    np.testing.assert_allclose(other, one, atol=1e-4)


def test_weights_of_an_image_and_its_mirror_image_stay_shared() -> None:
    mirror = helper.make_node("Conv", ["other", "wy", "by"], ["z"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    both = helper.make_node("Add", ["y", "z"], ["sum"])
    source = model(double(), double("x", "other"), conv("big"), mirror, both, weights=of(5, 4))
    source.graph.output[0].name = "sum"
    found = rewritten(source)
    assert [node.op_type for node in found.graph.node] == ["ConvTranspose", "ConvTranspose", "Add"]
    assert len(found.graph.initializer) == 2


def test_weights_by_hand() -> None:
    """One row 1 2 3 in the middle: behind a doubling, the columns of the transposed one are 3, 2+3, 1+2, 1."""
    weights = np.zeros((1, 1, 3, 3), np.float32)
    weights[0, 0, 1] = [1, 2, 3]
    assert doubled(weights)[0, 0].tolist() == [[0] * 4, [3, 5, 3, 1], [3, 5, 3, 1], [0] * 4]
    made = blocks(weights)
    assert made.shape == (16, 1, 6, 6)
    assert made[4 * 2 + 3, 0, 3].tolist() == [0, 0, 0, 1, 2, 3]  # the pixel in row 2 and column 3 of a block
    assert made.sum() == 16 * 6
