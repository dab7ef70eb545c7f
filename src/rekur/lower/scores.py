"""The output layers of language networks as ops: the scores of every token after a step."""

from __future__ import annotations

from torch import Tensor, nn

from rekur.errors import InputError, describe
from rekur.lower.builder import Builder
from rekur.models import LanguageNetwork
from rekur.nn import AdaptiveSoftmax, FullSoftmax
from rekur.program import Op


def lower_scores(building: Builder, reads: str, model: LanguageNetwork) -> None:
    """Add the scores of all tokens; padding gets minus infinity.

    Args:
        building: the program.
        reads: the register that holds the last layer's output at the last step.
        model: the network of the output layer.
    """
    head = model.head
    if isinstance(head, FullSoftmax):
        building.padding(lower_tokens(building, reads, head, model.embedding.weight))
    elif isinstance(head, AdaptiveSoftmax):
        _adaptive(building, reads, head, model.embedding.weight)
    else:
        raise InputError(describe("head", type(head).__name__, "FullSoftmax, SampledSoftmax or AdaptiveSoftmax"))


def lower_tokens(building: Builder, reads: str, head: FullSoftmax, table: Tensor) -> str:
    """Add the scores of all tokens but padding, and return the register that holds them.

    Args:
        building: the program.
        reads: the register that holds what the layer reads.
        head: the layer.
        table: the vectors that it is tied to, if it has no weights of its own.
    """
    if head.weight is not None:
        weights = building.weights({"weight": head.weight, "bias": head.bias})
        return building.add(Op("affine", (reads,), "tokens", len(head.bias), weights))
    if head.projection is not None:
        reads = building.affine(reads, "projected", head.projection)
    size = len(head.bias)
    weights = {"weight": building.weight(table), **building.weights({"bias": head.bias})}
    options = {"rows": [1, size + 1]}  # the first row is padding's
    return building.add(Op("affine", (reads,), "tokens", size, weights, options=options))


def _adaptive(building: Builder, reads: str, head: AdaptiveSoftmax, table: Tensor) -> None:
    inside = [_cluster(building, reads, head, table, index) for index in range(len(head.sizes))]
    weights = building.weights({"weight": head.cluster_weight, "bias": head.cluster_bias})
    clusters = building.add(Op("affine", (reads,), "clusters", len(head.cluster_bias), weights))
    size = head.sizes[0] + len(head.cluster_bias)
    joined = building.add(Op("concat", (inside[0], clusters), "first", size))
    levels = [building.add(Op("log_softmax", (joined,), "first.log", size))]
    for index, register in enumerate(inside[1:], start=1):
        levels.append(building.add(Op("log_softmax", (register,), f"{register}.log", head.sizes[index])))
    building.padding(building.add(Op("clusters", tuple(levels), "tokens", sum(head.sizes))))


def _cluster(building: Builder, reads: str, head: AdaptiveSoftmax, table: Tensor, index: int) -> str:
    """Add the scores of the tokens of one cluster, and return the register that holds them."""
    projection = head.projections[index]
    if isinstance(projection, nn.Linear):
        reads = building.affine(reads, f"cluster.{index}.projected", projection)
    options: dict[str, list[int]] = {}
    if len(head.weights):
        weights = building.weights({"weight": head.weights[index]})
    else:
        start = 1 + sum(head.sizes[:index])
        weights, options = {"weight": building.weight(table)}, {"rows": [start, start + head.sizes[index]]}
    weights |= building.weights({"bias": head.biases[index]})
    return building.add(Op("affine", (reads,), f"cluster.{index}", head.sizes[index], weights, options=options))
