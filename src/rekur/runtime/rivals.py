"""Rivals: plain models of the same training items, whose scores stand beside those of a network; no PyTorch.

Axes: N items, F numbers that a rival makes of an item, M rows of weights, K outputs of the target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array, pack, unpack
from rekur.data import EncodedItems
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle
from rekur.targets import Target

#: a rival is kept in a bundle up to so large a size of its files in bytes
MOST_BYTES = 5_000_000

Floats = NDArray[np.float64]


class Rival(ABC):
    """A plain model that predicts items; records, scores and intervals are those of the model's target."""

    #: the name of the kind, which is saved
    kind: ClassVar[str]
    #: the name in tables
    name: str

    @abstractmethod
    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the prediction of each item that counts, as :meth:`rekur.targets.Target.decode` gives it."""

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """Return the parts for a bundle, as plain JSON and arrays; None keeps nothing."""
        return None

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        raise NotImplementedError


def rival_records(rival: Rival, items: EncodedItems, target: Target) -> Floats:
    """Return the records of a rival's predictions for the items that count, one item after the other."""
    labels, contexts = items.labels_of(items.rows), items.contexts_of(items.rows)
    return target.records_of_predictions(rival.predictions(items), labels, contexts)


def rival_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of the rival in the metrics of a model, where those of an earlier Rekur say ``baseline``.

    Example:
        >>> rival_metrics({"accuracy": 0.9, "baseline": {"name": "3-gram"}})
        {'name': '3-gram'}
    """
    return dict(metrics.get("rival") or metrics.get("baseline") or {})


# ── linear models ────────────────────────────────────────────────────────────────────────────────────────────────


class Vectors(Protocol):
    """What makes numbers of an item."""

    def weighted(self, steps: Array, weights: Floats) -> Floats:
        """Return the numbers of an item times weights (M, F): (M,)."""
        ...

    def to_saved(self) -> dict[str, Array]:
        """Return everything learnt, as arrays."""
        ...


class GramVectors:
    r"""TF-IDF of runs of one to three tokens: :math:`(1 + \log n_g) \cdot \mathrm{idf}_g`, of length 1.

    Args:
        grams: the known runs in their order, padded with -1, (F, 3).
        idf: inverse document frequency of each, (F,).
    """

    def __init__(self, grams: NDArray[np.int32], idf: Floats) -> None:
        self._grams, self._idf = grams, idf
        rows = grams.tolist()
        self._columns = {tuple(token for token in row if token >= 0): column for column, row in enumerate(rows)}

    def weighted(self, steps: Array, weights: Floats) -> Floats:
        """Return the TF-IDF of the tokens times weights (M, F): (M,)."""
        counts = Counter(column for gram in grams_of(steps) if (column := self._columns.get(gram)) is not None)
        columns = np.fromiter(counts, np.int64, len(counts))
        values = (np.log(np.fromiter(counts.values(), np.float64, len(counts))) + 1.0) * self._idf[columns]
        length = float(np.sqrt((values**2).sum()))
        return np.asarray(weights[:, columns] @ (values / length if length else values))

    def to_saved(self) -> dict[str, Array]:
        """Return the runs and their inverse document frequencies."""
        return {"grams": self._grams, "idf": self._idf}


class SummaryVectors:
    """Mean, spread, extremes, ends and length of a series, standardized.

    Args:
        mean: of each number, (F,).
        scale: the standard deviation of each, (F,).
    """

    def __init__(self, mean: Floats, scale: Floats) -> None:
        self._mean, self._scale = mean, scale

    def weighted(self, steps: Array, weights: Floats) -> Floats:
        """Return the summary of the series times weights (M, F): (M,)."""
        return np.asarray(weights @ ((summary_of(steps) - self._mean) / self._scale))

    def to_saved(self) -> dict[str, Array]:
        """Return mean and scale."""
        return {"mean": self._mean, "scale": self._scale}


def grams_of(steps: Array) -> Iterator[tuple[int, ...]]:
    """Yield the runs of one, two and three token numbers.

    Example:
        >>> list(grams_of(np.array([4, 5])))
        [(4,), (5,), (4, 5)]
    """
    tokens = (steps if steps.ndim == 1 else steps[:, 0]).tolist()
    for size in (1, 2, 3):
        for start in range(len(tokens) - size + 1):
            yield tuple(tokens[start : start + size])


def summary_of(rows: Array) -> Floats:
    """Return mean, spread, extremes, ends and length of a series (T, D) as one vector."""
    if len(rows) == 0:
        rows = np.zeros((1, rows.shape[1]))
    numbers: NDArray[Any] = rows
    parts = [numbers.mean(0), numbers.std(0), numbers.min(0), numbers.max(0), numbers[0], numbers[-1], [len(numbers)]]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


class LinearRival(Rival):
    """A linear model of vectors of items: logistic regression for labels, ridge regression for numbers.

    Args:
        name: of the model in tables.
        target: of the network; its outputs are those of the rival too.
        vectors: makes numbers of an item.
        weights: (M, F); a single row for two classes.
        bias: (M,).
        classes: numbers of the labels that the rows score, (M,), or (2,) for a single row; None where they are
            independent of each other, or a number is predicted.
    """

    kind = "linear"

    def __init__(
        self,
        name: str,
        target: Target,
        vectors: Vectors,
        weights: Floats,
        bias: Floats,
        classes: NDArray[np.int64] | None = None,
    ) -> None:
        self.name, self._target, self._vectors = name, target, vectors
        self._weights, self._bias, self._classes = weights, bias, classes

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the predictions of items: probabilities (N, K), or numbers (N,)."""
        steps = items.first
        rows = [self._vectors.weighted(steps[int(row)], self._weights) + self._bias for row in items.rows]
        raw = np.reshape(rows, (len(rows), len(self._bias)))
        predictions: Sequence[Any] = self._target.decode(self._outputs(raw).astype(np.float32))
        return predictions

    def _outputs(self, raw: Floats) -> Floats:
        """Return outputs of the target (N, K) from linear scores (N, M)."""
        if self._target.kind == "number":
            return raw
        if self._classes is None:
            share = np.clip(_sigmoid(raw), 1e-6, 1 - 1e-6)
            return np.asarray(np.log(share / (1 - share)))
        if raw.shape[1] < len(self._classes):
            share = np.column_stack([1 - _sigmoid(raw[:, 0]), _sigmoid(raw[:, 0])])
        else:
            powers = np.exp(raw - raw.max(axis=1, keepdims=True))
            share = powers / powers.sum(axis=1, keepdims=True)
        outputs = np.full((len(raw), self._target.size), -30.0)
        outputs[:, self._classes] = np.log(np.clip(share, 1e-12, 1.0))
        return outputs

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the name, and all arrays."""
        arrays = {**self._vectors.to_saved(), "weights": self._weights, "bias": self._bias}
        if self._classes is not None:
            arrays["classes"] = self._classes
        return {"name": self.name}, arrays

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        vectors: Vectors
        if "grams" in arrays:
            vectors = GramVectors(arrays["grams"], arrays["idf"])
        else:
            vectors = SummaryVectors(arrays["mean"], arrays["scale"])
        return cls(saved["name"], target, vectors, arrays["weights"], arrays["bias"], arrays.get("classes"))


def _sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-values)))


# ── saving ───────────────────────────────────────────────────────────────────────────────────────────────────────

#: every kind of rival that a bundle can hold
RIVALS: dict[str, type[Rival]] = {LinearRival.kind: LinearRival}


def rival_files(rival: Rival | None) -> dict[str, bytes]:
    """Return the files that keep a rival in a bundle; none where it is larger than 5 MB, or keeps nothing."""
    saved = None if rival is None else rival.to_saved()
    if rival is None or saved is None:
        return {}
    facts, arrays = saved
    files = {layout.RIVAL: layout.render({"kind": rival.kind, **facts})}
    if sum(array.nbytes for array in arrays.values()) + len(files[layout.RIVAL]) > MOST_BYTES:
        return {}
    return {**files, layout.RIVAL_ARRAYS: pack("rival", arrays)} if arrays else files


def read_rival(bundle: Bundle, target: Target) -> Rival | None:
    """Return the rival of a bundle; None without one.

    Raises:
        BundleError: a file of it is damaged, or of a newer Rekur.
    """
    if layout.RIVAL not in bundle.config["files"]:
        return None
    path = bundle.folder / layout.RIVAL
    saved = layout.parse(path, bundle.read(layout.RIVAL))
    try:
        make: Callable[..., Rival] = RIVALS[saved["kind"]].from_saved
        arrays = unpack(bundle.read(layout.RIVAL_ARRAYS)) if layout.RIVAL_ARRAYS in bundle.config["files"] else {}
        return make(saved, arrays, target)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise layout.damaged(path, f"a rival without {error}", "one that this Rekur wrote") from error
