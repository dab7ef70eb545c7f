"""Encoders, convolutions and stacked layers as ops."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from rekur.errors import InputError, describe
from rekur.lower.builder import Builder
from rekur.lower.layers import lower_join, lower_layer
from rekur.models import Encoder, EncoderSpec
from rekur.models.encoder import ColumnEmbedding
from rekur.models.transformer import TransformerStack
from rekur.nn import Bidirectional, CausalConv, Layer, Recurrent
from rekur.program import Op
from rekur.program.cells import NO_PROGRAM


def lower_encoder(building: Builder, encoder: Encoder) -> str:
    """Add the ops of an encoder, and return the register that holds its outputs."""
    register = "input"
    if encoder.embedding is not None:
        register = _columns(building, encoder.embedding, encoder.spec)
    if encoder.projection is not None:
        written = building.affine(register, "projection", encoder.projection)
        options = {"function": "relu"}
        register = building.add(Op("activation", (written,), "projection.relu", building.ops[-1].size, options=options))
    if encoder.conv is not None:
        register = lower_conv(building, register, encoder.conv)
    register = lower_stack(building, register, encoder.recurrent)
    steps = encoder.spec.look_ahead
    if not steps:
        return register
    state = {"seen": building.remember("ahead.seen", (1,), "int64")}
    return building.add(Op("shift", (register,), "ahead", encoder.output_size, state=state, options={"steps": steps}))


def _columns(building: Builder, embedding: ColumnEmbedding, spec: EncoderSpec) -> str:
    words = {"table": building.weight(embedding.words.weight)}
    names = [building.add(Op("embed", ("input",), "words", spec.embedding_size, words, options={"column": 0}))]
    if embedding.parts is not None:
        table = {"table": _part_table(building, embedding.parts.weight, embedding.offsets)}
        for column, first in enumerate(embedding.offsets.tolist(), start=1):
            options = {"column": column, "rows": [first, first + spec.columns[column]]}
            names.append(
                building.add(Op("embed", ("input",), f"part.{column}", spec.part_size, table, options=options))
            )
    if embedding.fixed is not None:
        table = {"table": building.weight(embedding.fixed.weight)}
        options = {"column": len(spec.columns) - 1}
        names.append(building.add(Op("embed", ("input",), "vectors", spec.vector_size, table, options=options)))
    if len(names) == 1:
        return names[0]
    return building.add(Op("concat", tuple(names), "embedding", embedding.output_size))


def _part_table(building: Builder, weight: Tensor, offsets: Tensor) -> str:
    """Add the table of all columns but the first, with zeros for id 0 of each."""
    if not weight[offsets].any():
        return building.weight(weight)
    values = np.array(weight.detach().cpu().float().numpy())
    values[offsets.cpu().numpy()] = 0
    return building.array(f"{building.prefix}parts", values)


def lower_conv(building: Builder, reads: str, conv: CausalConv) -> str:
    """Add the ops of a causal convolution, and return the register that holds its outputs."""
    weights = building.weights({"weight": conv.weight, "bias": conv.bias})
    state = {}
    if conv.kernel_size > 1:
        state["before"] = building.remember("conv.before", (conv.kernel_size - 1, conv.input_size))
    written = building.add(Op("conv", (reads,), "conv", conv.output_size, weights, state))
    options = {"function": "relu"}
    return building.add(Op("activation", (written,), "conv.relu", conv.output_size, options=options))


def lower_stack(building: Builder, reads: str, stack: Recurrent | TransformerStack, prefix: str = "layer") -> str:
    """Add the ops of stacked layers, and return the register that holds their outputs.

    Args:
        building: the program.
        reads: the register of the inputs.
        stack: the layers.
        prefix: of the names of registers and states.
    """
    if isinstance(stack, TransformerStack):
        raise InputError(describe("layers", "those of a transformer", "recurrent ones", NO_PROGRAM))
    for index, layer in enumerate(stack.layers):
        name = f"{prefix}.{index}"
        if isinstance(layer, Bidirectional):
            ahead = lower_layer(building, reads, f"{name}.ahead", layer.forward_layer)
            back = lower_layer(building, reads, f"{name}.back", layer.backward_layer)
            written = building.add(Op("concat", (ahead, back), name, layer.output_size))
        elif isinstance(layer, Layer):
            written = lower_layer(building, reads, name, layer)
        else:
            raise InputError(describe(f"recurrent.layers[{index}]", type(layer).__name__, "a Layer or both directions"))
        norm = stack.norms[index] if stack.norms else None
        reads = lower_join(building, reads if stack.residual and index else None, written, norm)
    return reads
