"""Weights of recurrent layers as NumPy arrays: from bundles, and from and to torch.nn, Keras and ONNX."""

from rekur.export.weights.bundle import from_bundle
from rekur.export.weights.keras import from_keras, to_keras
from rekur.export.weights.keras_file import write_keras
from rekur.export.weights.keras_reader import read_keras
from rekur.export.weights.layer import LayerWeights
from rekur.export.weights.names import from_stack, from_torch, to_stack, to_torch
from rekur.export.weights.nodes import from_node, to_node
from rekur.export.weights.nodes_file import write_nodes
from rekur.export.weights.nodes_reader import read_nodes

__all__ = [
    "LayerWeights",
    "from_bundle",
    "from_keras",
    "from_node",
    "from_stack",
    "from_torch",
    "read_keras",
    "read_nodes",
    "to_keras",
    "to_node",
    "to_stack",
    "to_torch",
    "write_keras",
    "write_nodes",
]
