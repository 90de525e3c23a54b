"""A network's graph in a form that takes fewer steps and gives the same numbers, to rounding.

Two forms that decoders are made of cost more than they must. A 3×3 convolution of an image that has just been doubled multiplies
each value of the small image several times by what could be added up before: it is a transposed convolution with 4×4 weights and
stride 2, 4 multiplications a value instead of 9, and the doubled image need not be written (Shi et al. 2016, arXiv:1609.07009).
And a convolution with one output leaves fifteen of sixteen lanes of a vector unit idle: 4×4 neighbours, computed as sixteen
outputs, fill them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4
"""Side of the neighbourhood that becomes outputs."""
NARROW = 2
"""Outputs a convolution has at most where that pays."""

Weights = NDArray[np.float32]


def rewritten(model: Any) -> Any:
    """A new onnx.ModelProto of the same inputs and outputs; what has neither form stays as it is."""
    graph = _Graph(model)
    for node in list(graph.nodes):
        if node.op_type == "Conv" and graph.is_3x3(node):
            for form in (_after_doubling, _narrow):
                if others := form(graph, node):
                    graph.replace(node, others)
                    break
    return graph.model()


def doubled(weights: Weights) -> Weights:
    """Of a 3×3 convolution (outputs, inputs, 3, 3) behind a doubling by repetition, the transposed one with stride 2 and
    padding 1: (inputs, outputs, 4, 4)."""
    mirrored = np.pad(weights[:, :, ::-1, ::-1], ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows = mirrored[:, :, :-1] + mirrored[:, :, 1:]
    return np.ascontiguousarray((rows[..., :-1] + rows[..., 1:]).swapaxes(0, 1))


def blocks(weights: Weights) -> Weights:
    """Of a 3×3 convolution (outputs, inputs, 3, 3), the one with stride 4 whose outputs are (outputs · 16, inputs, 6, 6)."""
    outputs, inputs = weights.shape[:2]
    made = np.zeros((outputs, BLOCK, BLOCK, inputs, BLOCK + 2, BLOCK + 2), np.float32)
    for row in range(BLOCK):
        for column in range(BLOCK):
            made[:, row, column, :, row : row + 3, column : column + 3] = weights
    return made.reshape(-1, inputs, BLOCK + 2, BLOCK + 2)


def _after_doubling(graph: _Graph, node: Any) -> list[Any]:
    """conv(join(double(a), b)) = transposed(a) + conv(b); nothing where it is no such convolution."""
    joined = graph.maker(node.input[0], "Concat")
    parts = [node.input[0]] if joined is None else list(joined.input)
    place = next((i for i, part in enumerate(parts) if graph.is_doubling(part)), None)
    name, bias, out = node.input[1], list(node.input[2:]), node.output[0]
    weights, channels = graph.weights[name], [graph.shape(part)[0] for part in parts]
    if place is None or sum(channels) != weights.shape[1]:
        return []
    start, stop = sum(channels[:place]), sum(channels[: place + 1])
    rest = [*parts[:place], *parts[place + 1 :]]
    large = graph.add(f"{name}/{start}/doubled", doubled(weights[:, start:stop]))
    small = graph.maker(parts[place], "Resize").input[0]
    made = graph.node(
        "ConvTranspose", [small, large, *([] if rest else bias)], f"{out}/doubled" if rest else out,
        kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1],
    )  # fmt: skip
    if not rest:
        return [made]
    other = rest[0] if len(rest) == 1 else f"{out}/rest"
    join = [] if len(rest) == 1 else [graph.node("Concat", rest, other, axis=1)]
    kept = graph.add(f"{name}/{start}/rest", np.delete(weights, np.s_[start:stop], axis=1))
    conv = graph.node(
        "Conv", [other, kept, *bias], f"{out}/conv", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]
    )
    return [made, *join, conv, graph.node("Add", [conv.output[0], made.output[0]], out)]


def _narrow(graph: _Graph, node: Any) -> list[Any]:
    """A convolution with few outputs, by blocks of neighbours; nothing where it is none."""
    weights = graph.weights[node.input[1]]
    height, width = graph.shape(node.input[0])[1:]
    if len(weights) > NARROW or not height or height % BLOCK or width % BLOCK:
        return []
    names = [graph.add(f"{node.input[1]}/blocks", blocks(weights))]
    names += [
        graph.add(f"{name}/blocks", np.repeat(graph.weights[name], BLOCK**2)) for name in node.input[2:]
    ]
    out = node.output[0]
    conv = graph.node(
        "Conv", [node.input[0], *names], f"{out}/blocks",
        kernel_shape=[BLOCK + 2] * 2, strides=[BLOCK] * 2, pads=[1, 1, 1, 1],
    )  # fmt: skip
    return [conv, graph.node("DepthToSpace", [conv.output[0]], out, blocksize=BLOCK, mode="CRD")]


@dataclass
class _Graph:
    """A model that is being rewritten."""

    source: Any
    nodes: list[Any] = field(init=False)
    weights: dict[str, NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        from onnx import numpy_helper

        graph = self.source.graph
        self.nodes = list(graph.node)
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._made = {name: node for node in self.nodes for name in node.output}
        self._shapes = _shapes(self.source)

    def maker(self, name: str, kind: str) -> Any:
        """The node that a tensor comes from, if it is of this kind."""
        node = self._made.get(name)
        return node if node is not None and node.op_type == kind else None

    def shape(self, name: str) -> tuple[int, ...]:
        """Channels, height and width; zeros where they are not known."""
        return self._shapes.get(name, (0, 0, 0))

    def is_3x3(self, node: Any) -> bool:
        """Whether a convolution has 3×3 constant weights, one step, a border of one, and joins all inputs."""
        given = {
            "strides": [1, 1],
            "dilations": [1, 1],
            "pads": [0, 0, 0, 0],
            "group": 1,
            **_attributes(node),
        }
        wanted = {"strides": [1, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": 1}
        known = all(name in self.weights for name in node.input[1:])
        return (
            known
            and self.weights[node.input[1]].shape[2:] == (3, 3)
            and all(given[key] == value for key, value in wanted.items())
        )

    def is_doubling(self, name: str) -> bool:
        """Whether a tensor is another one with each value repeated, twice as high and wide."""
        node = self.maker(name, "Resize")
        if node is None:
            return False
        given = {"mode": b"nearest", "nearest_mode": b"round_prefer_floor", **_attributes(node)}
        channels, height, width = self.shape(node.input[0])
        return (
            height > 0
            and self.shape(name) == (channels, 2 * height, 2 * width)
            and given["mode"] == b"nearest"
            and given["nearest_mode"] == b"floor"
            and given.get("coordinate_transformation_mode") == b"asymmetric"
        )

    def add(self, name: str, weights: NDArray[np.float32]) -> str:
        """Keep weights under a name; what an image and its mirror image share stays shared."""
        self.weights.setdefault(name, weights)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        """A new node, named as what it makes."""
        from onnx import helper

        return helper.make_node(kind, inputs, [output], name=output, **attributes)

    def replace(self, node: Any, others: list[Any]) -> None:
        """Put others where a node was."""
        place = next(place for place, known in enumerate(self.nodes) if known is node)
        self.nodes[place : place + 1] = others

    def model(self) -> Any:
        """The whole, without what nothing asks for any more."""
        from onnx import ModelProto, checker, numpy_helper

        model = ModelProto()
        model.CopyFrom(self.source)
        needed, kept = {value.name for value in model.graph.output}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        for part in ("node", "initializer", "value_info"):
            model.graph.ClearField(part)
        model.graph.node.extend(reversed(kept))
        model.graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in self.weights.items() if name in needed
        )
        checker.check_model(model)
        return model


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Channels, height and width of the images; sizes that the graph reckons are known where the batch is, so it is 1."""
    from onnx import ModelProto, shape_inference

    single = ModelProto()
    single.CopyFrom(model)
    single.graph.ClearField("value_info")
    for value in [*single.graph.input, *single.graph.output]:
        batch = value.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_value = 1
    graph = shape_inference.infer_shapes(single, data_prop=True).graph
    described = [*graph.value_info, *graph.input, *graph.output]
    sizes = {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in described}
    return {name: size[1:] for name, size in sizes.items() if len(size) == 4}
