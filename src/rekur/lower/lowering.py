"""From a trained model to the program that runs it without PyTorch.

Lowering names every weight as the model does, so that a program and a saved model can share one file of weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from rekur.errors import InputError, describe
from rekur.lower.builder import Arrays, Builder, builder_of
from rekur.lower.layers import lower_join, lower_layer
from rekur.lower.scores import lower_scores
from rekur.models import Encoder, EncoderSpec, LanguageNetwork, SequenceModel
from rekur.models.encoder import ColumnEmbedding
from rekur.nn import Bidirectional, CausalConv, Layer, NGramEmbedding, Recurrent
from rekur.nn.pool import AttentionPool, JoinedPool, LastPool, MaxPool, MeanPool, Pool
from rekur.nn.recall import Recall
from rekur.program import Input, Op, Program


def lower(model: nn.Module, task: str = "") -> tuple[Program, Arrays]:
    """Return the program of a trained model, and its weights.

    Args:
        model: the model, which is not changed; dropout is left out.
        task: its task; by default ``classify``, ``language`` for a language network, or ``tag`` for a network with an
            output at every step.

    Returns:
        the program and name -> array. The program's output is the model's scores; for a language network those of the
        next token, with minus infinity for padding.

    Raises:
        InputError: a part of the model has no op; the text names it.

    Example:
        >>> from rekur.models import SequenceSpec, build
        >>> from rekur.program import Engine
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, cell="gru", hidden_size=8)
        >>> program, weights = lower(build(spec, seed=0))
        >>> [op.kind for op in program.main.ops]
        ['embed', 'recur', 'last', 'affine']
        >>> Engine(program, weights).run([[4, 5], [6]]).shape
        (2, 3)
    """
    if isinstance(model, LanguageNetwork):
        return _language(model, task or "language")
    if isinstance(model, SequenceModel):
        return _sequence(model, task or "classify")
    if has_encoder(model):
        return _stepped(model, task or "tag")
    expected = "a SequenceModel, a LanguageNetwork, or a network of an encoder and a linear head"
    raise InputError(describe("model", type(model).__name__, expected))


def has_encoder(model: nn.Module) -> bool:
    """Return whether a model is an encoder and a linear layer at every step, ``model.encoder`` and ``model.head``."""
    parts = getattr(model, "encoder", None), getattr(model, "head", None)
    return isinstance(parts[0], Encoder) and isinstance(parts[1], nn.Linear)


def _stepped(model: Any, task: str) -> tuple[Program, Arrays]:
    building, spec = builder_of(model), model.encoder.spec
    columns = spec.columns
    register = lower_encoder(building, model.encoder)
    building.affine(register, "scores", model.head)
    source = Input("ids", len(columns), columns) if columns else Input("rows", spec.input_size)
    return building.program(task, source), building.arrays


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
        register = _conv(building, register, encoder.conv)
    register = _stack(building, register, encoder.recurrent)
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
    if embedding.vectors is not None:
        table = {"table": building.weight(embedding.vectors.weight)}
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
    return building.array("parts", values)


def _sequence(model: SequenceModel, task: str) -> tuple[Program, Arrays]:
    building, spec = builder_of(model), model.spec
    source = Input("tokens" if spec.discrete else "rows", spec.input_size)
    register = "input"
    if model.embedding is not None:
        weights = {"table": building.weight(model.embedding.weight)}
        register = building.add(Op("embed", (register,), "embedding", spec.embedding_size, weights))
    if model.conv is not None:
        register = _conv(building, register, model.conv)
    register = _stack(building, register, model.recurrent)
    register = _pool(building, register, model.pool)
    building.affine(register, "scores", model.head)
    return building.program(task, source), building.arrays


def _language(model: LanguageNetwork, task: str) -> tuple[Program, Arrays]:
    building, spec = builder_of(model), model.spec
    weights = {"table": building.weight(model.embedding.weight)}
    register = building.add(Op("embed", ("input",), "embedding", spec.embedding_size, weights))
    if model.ngram_embedding is not None:
        runs = _ngrams(building, model.ngram_embedding)
        register = building.add(Op("add", (register, runs), "encoded", spec.embedding_size))
    if model.recall is not None:
        recalled = _recall(building, model.recall, weights, spec.embedding_size)
        size = spec.embedding_size * (1 + len(spec.recall))
        register = building.add(Op("concat", (register, recalled), "recalled", size))
    for index, layer in enumerate(model.recurrent_layers()):
        written = lower_layer(building, register, f"layer.{index}", layer)
        norm = model.norms[index] if model.norms else None
        register = lower_join(building, register if spec.residual and index else None, written, norm)
    size = building.ops[-1].size
    state = {"last": building.remember("last", (size,))}
    register = building.add(Op("last", (register,), "last", size, state=state))
    lower_scores(building, register, model)
    return building.program(task, Input("tokens", spec.vocabulary_size)), building.arrays


def _recall(building: Builder, recall: Recall, weights: dict[str, str], size: int) -> str:
    orders = list(recall.orders)
    state = {
        "before": building.remember("recall.before", (max(orders),), "int64"),
        "memory": building.remember("recall.memory", (len(orders), recall.slots), "int64"),
    }
    options = {"orders": orders, "slots": recall.slots}
    return building.add(Op("recall", ("input",), "recall", size * len(orders), weights, state, options))


def _ngrams(building: Builder, grams: NGramEmbedding) -> str:
    weights = {}
    for order, table in zip(grams.orders, grams.tables, strict=True):
        weights[f"table_{order}"] = building.weight(table.get_parameter("weight"))
        weights[f"runs_{order}"] = building.weight(grams.get_buffer(f"runs_{order}"))
    state = {"before": building.remember("ngrams.before", (max(grams.orders) - 1,), "int64")}
    options = {"orders": list(grams.orders)}
    return building.add(Op("ngrams", ("input",), "ngrams", grams.size, weights, state, options))


def _conv(building: Builder, reads: str, conv: CausalConv) -> str:
    weights = building.weights({"weight": conv.weight, "bias": conv.bias})
    state = {}
    if conv.kernel_size > 1:
        state["before"] = building.remember("conv.before", (conv.kernel_size - 1, conv.input_size))
    written = building.add(Op("conv", (reads,), "conv", conv.output_size, weights, state))
    options = {"function": "relu"}
    return building.add(Op("activation", (written,), "conv.relu", conv.output_size, options=options))


def _stack(building: Builder, reads: str, stack: Recurrent) -> str:
    for index, layer in enumerate(stack.layers):
        name = f"layer.{index}"
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


def _pool(building: Builder, reads: str, pool: Pool) -> str:
    if not isinstance(pool, JoinedPool):
        return _one_pool(building, reads, pool)
    parts = [_one_pool(building, reads, part) for part in pool.pools if isinstance(part, Pool)]
    return building.add(Op("concat", tuple(parts), "pooled", pool.output_size))


def _one_pool(building: Builder, reads: str, pool: Pool) -> str:
    size, remember = pool.size, building.remember
    if isinstance(pool, LastPool):
        if pool.bidirectional:
            return building.add(Op("ends", (reads,), "ends", size))
        return building.add(Op("last", (reads,), "last", size, state={"last": remember("last", (size,))}))
    if isinstance(pool, MeanPool):
        state = {"mean": remember("mean", (size,)), "count": remember("mean.count", (1,), "int64")}
        return building.add(Op("mean", (reads,), "mean", size, state=state))
    if isinstance(pool, MaxPool):
        state = {"largest": remember("max", (size,)), "count": remember("max.count", (1,), "int64")}
        return building.add(Op("max", (reads,), "max", size, state=state))
    if isinstance(pool, AttentionPool):
        roles = {"weight": pool.hidden.weight, "bias": pool.hidden.bias, "score": pool.score.weight}
        state = {
            "total": remember("attention.total", (size,)),
            "mass": remember("attention.mass", (1,)),
            "top": remember("attention.top", (1,)),
        }
        return building.add(Op("attention", (reads,), "attention", size, building.weights(roles), state))
    expected = "a pool of rekur.nn: last, mean, max, attention, or several of them joined"
    raise InputError(describe("pool", type(pool).__name__, expected, "No program has an op for it."))
