"""The subject of proofs: a saved model with sequences from the user's data, or random ones.

Axes: T time, D numbers of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rekur._ids import RESERVED_OF_PAIRS
from rekur._tensors import Array
from rekur.check.windows import WindowRuns, drawn_windows, windows_of
from rekur.data import encode_texts
from rekur.errors import InputError, describe
from rekur.program import Engine, PairEngine, Program, draw_sequences
from rekur.program.parts import DECODE, INPUT
from rekur.runtime import Bundle, Model, model_of
from rekur.runtime.pair_scores import pair_scores
from rekur.runtime.search import RULES, search

#: lengths of random sequences
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
#: most tokens of a piece of text
PIECE = 128


@dataclass(frozen=True)
class TokenPair:
    """A source and its target.

    Attributes:
        source: token numbers (S,).
        target: token numbers (T,), the last of them the end.
    """

    source: Array
    target: Array

    def __len__(self) -> int:
        return len(self.target)


class PairRuns:
    """The engine of a program that is searched, run on pairs.

    Args:
        program: the program.
        weights: name -> array.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self.program, self.steps = program, PairEngine(program, weights)

    def run(self, pairs: Sequence[TokenPair]) -> list[Array]:
        """Return the log-probability of each token of each target, given its source, (T,) a pair."""
        sources = self.steps.encode([pair.source for pair in pairs])
        return self.steps.log_probabilities([np.append(RULES.begin, pair.target) for pair in pairs], sources)


def pair_rows(steps: Any, pairs: Sequence[TokenPair]) -> list[Array]:
    """Return the log-probability of each token of each target, (T,) a pair, step by step, all pairs side by side.

    Args:
        steps: a step function of targets, such as a :class:`rekur.program.PairEngine`.
        pairs: none of them with an empty source.
    """
    rows = pair_scores(steps, [pair.source for pair in pairs], [pair.target for pair in pairs])
    return [np.zeros(0, np.float32) if row is None else row.astype(np.float32) for row in rows]


def engine_of(program: Program, weights: Mapping[str, Array]) -> Any:
    """Return what runs a program on the sequences of a subject."""
    if program.forecasts:
        return WindowRuns(program, weights)
    return PairRuns(program, weights) if program.searches else Engine(program, weights)


@dataclass(frozen=True)
class Subject:
    """A saved model and the sequences to run it on.

    Attributes:
        bundle: the saved model.
        names: the name of each sequence in tables.
        sequences: input of the model: token numbers (T,) or rows (T, D), :class:`TokenPair` where a search finds its
            texts, or :class:`rekur.check.windows.WindowArrays` where it forecasts.
        items: the raw items of the sequences; empty for random ones and for pieces of a text.
        load_trained: returns the model in PyTorch from the folder of a bundle; None for no proofs in PyTorch.
    """

    bundle: Bundle
    names: list[str]
    sequences: list[Any]
    items: list[Any]
    load_trained: Callable[[Path], Any] | None = None

    @cached_property
    def saved(self) -> tuple[Program, dict[str, Array]]:
        """The program and its weights."""
        return self.bundle.program()

    @cached_property
    def model(self) -> Model:
        """The model that runs the bundle."""
        return model_of(self.bundle)

    @cached_property
    def engine(self) -> Any:
        """What runs the program on the sequences."""
        return engine_of(*self.saved)

    @property
    def unit(self) -> str:
        """What a number of an output is of: a ``score``, or a ``token`` of a target."""
        return "token" if self.searches else "score"

    @property
    def searches(self) -> bool:
        """Whether the texts of the model are found by search."""
        return self.saved[0].searches

    @property
    def forecasts(self) -> bool:
        """Whether the model forecasts windows of series."""
        return self.saved[0].forecasts

    @cached_property
    def whole(self) -> Any:
        """The outputs of all sequences, run together: (N, K), one (T, K) a sequence with an output at every step,
        or one (T,) a pair."""
        return self.engine.run(self.sequences)

    @cached_property
    def scores(self) -> list[str]:
        """The name of each output; empty if they have none."""
        return self.model.target_.output_names


def subject_of(
    bundle: Bundle, data: Any = None, items: int = 32, *, load_trained: Callable[[Path], Any] | None = None
) -> Subject:
    """Return a saved model with sequences to run it on.

    Args:
        bundle: the saved model.
        data: a :class:`rekur.data.Corpus`, or for a language model texts from :func:`rekur.data.open_texts`; None draws
            random sequences.
        items: most items, or pieces of a text.
        load_trained: returns the model in PyTorch from the folder of a bundle, as :func:`rekur.tasks.load` does; None
            for no proofs in PyTorch.

    Raises:
        BundleError: the bundle has no program.
        InputError: the data cannot be read, or has no items.

    Example:
        >>> from rekur.runtime import read_bundle
        >>> len(subject_of(read_bundle("runs/reviews")).sequences)  # doctest: +SKIP
        10
    """
    program, _ = bundle.program()
    if data is None:
        sequences: list[Any] = _drawn(program, LENGTHS[:items], 0, bundle.features())
        return Subject(bundle, [f"drawn sequence of {len(x)} steps" for x in sequences], sequences, [], load_trained)
    features = bundle.features()
    if program.forecasts:
        windows, sequences = windows_of(features, data, items)
        if not windows:
            raise InputError(describe("data", "no series", "one series or more"))
        return Subject(bundle, [f"series '{window.name}'" for window in windows], sequences, windows, load_trained)
    if bundle.target(features).kind == "next":
        sequences = list(islice(_pieces(encode_texts(data, features)), items))
        return Subject(bundle, [f"piece {n} of the text" for n in range(len(sequences))], sequences, [], load_trained)
    examples = list(islice(iter(data), items))
    if not examples:
        raise InputError(describe("data", "no items", "one item or more"))
    if program.searches:
        examples = [example for example in examples if example.item.strip()]
        if not examples:
            raise InputError(describe("data", "empty sources", "one or more that are not empty"))
        sequences = _pairs(bundle, features, examples)
    else:
        sequences = []
        for example in islice(iter(data), items):
            with data.naming_the_place():
                sequences.append(features.transform(example.item))
    names = [f"item {n} (line {example.line})" for n, example in enumerate(examples)]
    return Subject(bundle, names, sequences, [example.item for example in examples], load_trained)


def drawn_like(subject: Subject, length: int) -> Any:
    """Return a random sequence of this length for the model."""
    return _drawn(subject.saved[0], [length], length, subject.model.features_)[0]


def _drawn(program: Program, lengths: Sequence[int], seed: int, features: Any) -> list[Any]:
    """Return random sequences of these lengths, pairs of a source and a target, or windows."""
    if program.forecasts:
        return list(drawn_windows(program, lengths, features.segments, seed))
    sequences = draw_sequences(program, lengths, seed, padding=False)
    if not program.searches:
        return list(sequences)
    size, rng = program.parts[DECODE].inputs[INPUT].size, np.random.default_rng(seed)
    lowest = min(RESERVED_OF_PAIRS, size - 1)
    targets = [np.append(rng.integers(lowest, size, size=length - 1), RULES.end) for length in lengths]
    return [TokenPair(source, target) for source, target in zip(sequences, targets, strict=True)]


def _pairs(bundle: Bundle, features: Any, examples: Sequence[Any]) -> list[TokenPair]:
    """Return examples as pairs; the target of one without a label is what the model writes."""
    sources = [features.transform(example.item) for example in examples]
    model = model_of(bundle)
    pairs = []
    for example, source in zip(examples, sources, strict=True):
        if example.label:
            target = np.asarray(model.target_.encode(example.label), np.int64)
        else:
            target = np.append(search(model.engine, [source])[0][0].ids, RULES.end)
        pairs.append(TokenPair(source, target))
    return pairs


def _pieces(tokens: Any) -> Iterator[Array]:
    """Yield the documents of a text, in pieces of at most ``PIECE`` tokens."""
    ends = [*tokens.starts[1:].tolist(), len(tokens.ids)]
    for start, end in zip(tokens.starts.tolist(), ends, strict=True):
        for first in range(start, end, PIECE):
            yield np.asarray(tokens.ids[first : min(first + PIECE, end)], np.int64)
