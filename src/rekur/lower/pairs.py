"""A network of pairs of texts as a program with the parts ``encode`` and ``decode``."""

from __future__ import annotations

import dataclasses
import math

from rekur.lower.builder import Arrays, Builder
from rekur.lower.lower_encoder import lower_encoder, lower_stack
from rekur.lower.scores import lower_tokens
from rekur.models import EncoderDecoder
from rekur.models.decoder import Decoder, cells_of, start_sizes, started_by_memory
from rekur.nn import AdditiveAttention
from rekur.program import Input, Op, Program
from rekur.program.parts import DECODE, ENCODE, INPUT, OUTPUT


def lower_pairs(building: Builder, model: EncoderDecoder, task: str) -> tuple[Program, Arrays]:
    """Return the program of a network of pairs, and its weights."""
    spec, decoder = model.spec, model.decoder
    memory = lower_encoder(building, model.encoder)
    size = model.encoder.output_size
    keys, key_size = memory, size
    if decoder.attention.key is not None:
        key_size = decoder.attention.key.out_features
        weights = building.weights({"weight": decoder.attention.key.weight})
        keys = building.add(Op("affine", (memory,), "keys", key_size, weights))
    outputs = {"memory": memory, "keys": keys, **_starts(building, memory, size, decoder)}
    parts = {ENCODE: building.part({INPUT: Input("tokens", spec.columns[0])}, outputs)}
    encode_states = len(building.state)
    _decode(building, decoder)
    inputs = {INPUT: Input("tokens", spec.output_size)}
    inputs |= {"memory": Input("memory", size), "keys": Input("memory", key_size)}
    parts[DECODE] = building.part(inputs, {OUTPUT: "scores"})
    started = _started(parts[DECODE].ops, decoder)
    state = [
        slot if index < encode_states else dataclasses.replace(slot, output=started.get(slot.name, ""))
        for index, slot in enumerate(building.state)
    ]
    return Program(task, parts, building.weight_shapes(), tuple(state)), building.arrays


def _starts(building: Builder, memory: str, size: int, decoder: Decoder) -> dict[str, str]:
    """Add the rows with which states of the decoder begin; return output -> register."""
    if decoder.start is None:
        return {}
    state = {"mean": building.remember("mean", (size,)), "count": building.remember("mean.count", (1,), "int64")}
    mean = building.add(Op("mean", (memory,), "mean", size, state=state))
    outputs, first = {}, 0
    weight = building.weight(decoder.start.weight)
    bias, sizes = decoder.start.bias, start_sizes(decoder.recurrent)
    values = bias.detach().cpu().float().numpy()
    for index, rows in enumerate(sizes):
        end = first + rows
        part = building.array(f"start.{index}.bias", values[first:end]) if len(sizes) > 1 else building.weight(bias)
        weights = {"weight": weight, "bias": part}
        options = {"rows": [first, end]}
        row = building.add(Op("affine", (mean,), f"start.{index}.sum", rows, weights, options=options))
        outputs[f"start.{index}"] = building.add(
            Op("activation", (row,), f"start.{index}", rows, options={"function": "tanh"})
        )
        first = end
    return outputs


def _decode(building: Builder, decoder: Decoder) -> None:
    """Add the ops of a step of the decoder, from a token to the log-probabilities of the next."""
    spec, attention = decoder.spec, decoder.attention
    table = {"table": building.weight(decoder.embedding.weight)}
    embedded = building.add(Op("embed", (INPUT,), "embedding", spec.embedding_size, table))
    hidden = lower_stack(building, embedded, decoder.recurrent, "decoder")
    size, query = decoder.recurrent.output_size, hidden
    weights, options = {}, {"score": "dot", "scale": 1 / math.sqrt(attention.query_size)}
    if isinstance(attention, AdditiveAttention):
        query = building.affine(hidden, "query", attention.query)
        weights, options = building.weights({"weight": attention.score.weight}), {"score": "additive"}
    memory_size = decoder.combine.in_features - size - spec.embedding_size
    context = building.add(Op("attend", (query, "keys", "memory"), "context", memory_size, weights, options=options))
    joined = building.add(Op("concat", (hidden, context, embedded), "joined", decoder.combine.in_features))
    combined = building.affine(joined, "combined", decoder.combine)
    options = {"function": "tanh"}
    row = building.add(Op("activation", (combined,), "row", spec.embedding_size, options=options))
    tokens = lower_tokens(building, row, decoder.head, decoder.embedding.weight)
    building.padding(building.add(Op("log_softmax", (tokens,), "tokens.log", spec.output_size - 1)))


def _started(ops: tuple[Op, ...], decoder: Decoder) -> dict[str, str]:
    """Return state -> output of the encoder with which it begins."""
    layers = [op for op in ops if op.kind == "recur"]
    names = [
        list(op.state.values())[index]
        for op, cell in zip(layers, cells_of(decoder.recurrent), strict=True)
        for index in started_by_memory(cell)
    ]
    return {name: f"start.{index}" for index, name in enumerate(names)}
