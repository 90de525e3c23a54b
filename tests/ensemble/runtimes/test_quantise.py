"""What keeps floats, on a drawing small enough to see it."""

from __future__ import annotations

import pytest
from onnx import ModelProto, helper

from ensemble.runtimes.quantise import outer


def model(*nodes: tuple[str, str, str, str]) -> ModelProto:
    """Of (name, operation, its inputs, its output)."""
    made = [helper.make_node(op, inputs.split(), [out], name=name) for name, op, inputs, out in nodes]
    return helper.make_model(helper.make_graph(made, "g", [], []))


FIRST = [("cast", "Cast", "image", "1"), ("mean", "Sub", "1 m", "2"), ("a", "Conv", "2 wa", "3")]
LAST = [("z", "Conv", "8 wz", "9"), ("sigmoid", "Sigmoid", "9", "10"), ("mirrored", "Add", "10 m", "11")]


@pytest.mark.parametrize(
    ("middle", "inner"),
    [
        ([("relu", "Relu", "3", "8")], {"relu"}),
        ([("relu", "Relu", "3", "4"), ("b", "Conv", "4 wb", "8")], {"relu", "b"}),
        # a connection past it, and a constant that comes from nowhere
        (
            [("b", "Conv", "3 wb", "4"), ("scale", "Constant", "", "s"), ("cat", "Concat", "3 4 s", "8")],
            {"b", "cat"},
        ),
        # a second output of its own, as Double U-Net has
        ([("b", "Conv", "3 wb", "8"), ("y", "Gemm", "8 wy", "y1"), ("soft", "Softmax", "y1", "y2")], {"b"}),
    ],
)
def test_first_and_last_layers_and_what_is_outside_of_them(
    middle: list[tuple[str, str, str, str]], inner: set[str]
) -> None:
    nodes = [*FIRST, *middle, *LAST]
    assert set(outer(model(*nodes))) == {name for name, *_ in nodes} - inner


def test_a_network_of_one_layer_keeps_all() -> None:
    assert outer(model(*FIRST)) == ["cast", "mean", "a"]
