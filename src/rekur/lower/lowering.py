"""From a trained model to the program that runs it without PyTorch.

Lowering names every weight as the model does, so that a program and a saved model can share one file of weights.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from rekur.errors import InputError, describe
from rekur.lower.builder import Arrays, Builder, builder_of
from rekur.lower.forecasts import lower_forecaster
from rekur.lower.layers import lower_join, lower_layer
from rekur.lower.lower_encoder import lower_conv, lower_encoder, lower_stack
from rekur.lower.pairs import lower_pairs
from rekur.lower.pools import lower_pool
from rekur.lower.scores import lower_scores
from rekur.lower.series import lower_series
from rekur.models import (
    Encoder,
    EncoderDecoder,
    Forecaster,
    LanguageNetwork,
    SequenceModel,
    SequenceSpec,
    SeriesNetwork,
    TagNetwork,
)
from rekur.models.sequence import VectorEmbedding
from rekur.models.transformer import is_transformer
from rekur.nn import Layer, NGramEmbedding
from rekur.nn.recall import Recall
from rekur.program import Input, Op, Program
from rekur.program.cells import NO_PROGRAM


def lower(model: nn.Module, task: str = "") -> tuple[Program, Arrays]:
    """Return the program of a trained model, and its weights.

    Args:
        model: the model, which is not changed; dropout is left out.
        task: its task; by default ``classify``, ``language`` for a language network, ``translate`` for a network of
            pairs, ``forecast`` for a forecaster, or ``tag`` for a network with an output at every step.

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
    if is_transformer(model):
        raise InputError(describe("model", "a transformer", "a model with a program", NO_PROGRAM))
    if isinstance(model, LanguageNetwork):
        return _language(model, task or "language")
    if isinstance(model, SequenceModel):
        return _sequence(model, task or "classify")
    if isinstance(model, SeriesNetwork):
        return lower_series(builder_of(model), model, task or "classify")
    if isinstance(model, EncoderDecoder):
        return lower_pairs(builder_of(model), model, task or "translate")
    if isinstance(model, Forecaster):
        return lower_forecaster(builder_of(model), model, task or "forecast")
    if has_encoder(model):
        return _stepped(model, task or "tag")
    expected = (
        "a SequenceModel, a SeriesNetwork, a LanguageNetwork, an EncoderDecoder, a Forecaster, or a network with an "
        "encoder and a linear head"
    )
    raise InputError(describe("model", type(model).__name__, expected))


def has_encoder(model: nn.Module) -> bool:
    """Return whether a model is an encoder and a linear layer at every step, ``model.encoder`` and ``model.head``."""
    parts = getattr(model, "encoder", None), getattr(model, "head", None)
    return isinstance(parts[0], Encoder) and isinstance(parts[1], nn.Linear)


def _stepped(model: Any, task: str) -> tuple[Program, Arrays]:
    building, spec = builder_of(model), model.encoder.spec
    columns, scores = spec.columns, list[str]()
    members = model.members if isinstance(model, TagNetwork) else [(model.encoder, model.head)]
    for index, (encoder, head) in enumerate(members):
        building.prefix = f"{index}." if len(members) > 1 else ""
        scores.append(building.affine(lower_encoder(building, encoder), "scores", head))
    building.prefix = ""
    if len(scores) > 1:
        building.add(Op("average", tuple(scores), "average", building.ops[-1].size))
    source = Input("ids", len(columns), columns) if columns else Input("rows", spec.input_size)
    return building.program(task, source), building.arrays


def _sequence(model: SequenceModel, task: str) -> tuple[Program, Arrays]:
    building, spec = builder_of(model), model.spec
    source = Input("tokens" if spec.discrete else "rows", spec.input_size)
    register = "input"
    if isinstance(model.embedding, VectorEmbedding):
        register = _with_vectors(building, model.embedding, spec)
    elif model.embedding is not None:
        weights = {"table": building.weight(model.embedding.weight)}
        register = building.add(Op("embed", (register,), "embedding", spec.embedding_size, weights))
    if model.conv is not None:
        register = lower_conv(building, register, model.conv)
    register = lower_stack(building, register, model.recurrent)
    register = lower_pool(building, register, model.pool)
    building.affine(register, "scores", model.head)
    return building.program(task, source), building.arrays


def _with_vectors(building: Builder, embedding: VectorEmbedding, spec: SequenceSpec) -> str:
    learned, fixed = ({"table": building.weight(part.weight)} for part in (embedding.words, embedding.vectors))
    options = {"vocabulary": spec.trained_size}
    words = building.add(Op("embed", ("input",), "words", spec.embedding_size, learned, options=options))
    vectors = building.add(Op("embed", ("input",), "vectors", spec.vector_size, fixed))
    return building.add(Op("concat", (words, vectors), "embedding", embedding.output_size))


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
    for index, layer in enumerate(layer for layer in model.recurrent_layers() if isinstance(layer, Layer)):
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
