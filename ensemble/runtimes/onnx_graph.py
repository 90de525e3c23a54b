"""Which parts of an exported network keep floats when the rest becomes 8-bit whole numbers."""

from __future__ import annotations

from typing import Any

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operations with weights."""


def outer(model: Any) -> list[str]:
    """Names of an onnx.ModelProto's nodes up to and with the first layers, and from the last ones on.

    They cost next to nothing and 8 bits hurt them most: the first layer sees single grey levels, behind the last one are the
    probabilities that thresholds of 1/256 look at (Krishnamoorthi 2018, arXiv:1806.08342, keeps them too).
    """
    nodes = list(model.graph.node)  # in an order in which inputs come first, as ONNX demands
    behind, before = _touched(nodes), _touched([_reversed(node) for node in reversed(nodes)])
    return [node.name for node in nodes if node.name not in behind or node.name not in before]


def _touched(nodes: list[Any]) -> set[str]:
    """Names of the nodes that have a layer among their ancestors."""
    tensors: set[str] = set()
    names: set[str] = set()
    for node in nodes:
        found = any(name in tensors for name in node.input)
        if found:
            names.add(node.name)
        if found or node.op_type in LAYERS:
            tensors.update(node.output)
    return names


def _reversed(node: Any) -> Any:
    """The node with its arrow turned round."""
    from onnx import NodeProto

    return NodeProto(name=node.name, op_type=node.op_type, input=node.output, output=node.input)
