"""What the proofs look at: a saved model, and sequences of its user's data or drawn ones.

Axes: T time, D numbers of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.data import encode_texts
from rekur.errors import InputError, describe
from rekur.program import Engine, Program, draw_sequences
from rekur.runtime import Bundle, LanguagePredictor, Predictor, runner
from rekur.runtime.answers import ClassAnswers

#: steps of sequences that are drawn where there is no data
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
#: tokens of a text that are looked at together
PIECE = 128


@dataclass(frozen=True)
class Subject:
    """A saved model and what it is run on.

    Attributes:
        bundle: the saved model.
        names: what to call each sequence in a table.
        sequences: as the model reads them: token numbers (T,) or rows (T, D).
        items: the same before the features; empty where they were drawn, or are pieces of a text.
    """

    bundle: Bundle
    names: list[str]
    sequences: list[Array]
    items: list[Any]

    @cached_property
    def saved(self) -> tuple[Program, dict[str, Array]]:
        """The program and its weights."""
        return self.bundle.program()

    @cached_property
    def runner(self) -> Predictor | LanguagePredictor:
        """What runs the model."""
        return runner(self.bundle)

    @cached_property
    def engine(self) -> Engine:
        """What runs the program."""
        return Engine(*self.saved)

    @cached_property
    def whole(self) -> Array:
        """The scores (N, K) of all sequences, run together."""
        return self.engine.run(self.sequences)

    @cached_property
    def scores(self) -> list[str]:
        """What each score stands for."""
        answers = getattr(self.runner, "answers_", None)
        return [str(label) for label in answers.classes] if isinstance(answers, ClassAnswers) else []


def subject_of(bundle: Bundle, data: Any = None, items: int = 32) -> Subject:
    """Return a saved model with sequences to run it on.

    Args:
        bundle: the saved model.
        data: a :class:`rekur.data.Corpus`, or for a language model texts as :func:`rekur.data.open_texts` gives them;
            None draws sequences at random.
        items: how many items, or pieces of a text, are looked at.

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
        sequences = draw_sequences(program, LENGTHS[:items], padding=False)
        return Subject(bundle, [f"drawn sequence of {len(x)} steps" for x in sequences], sequences, [])
    features = bundle.features()
    if program.task == "language":
        sequences = list(islice(_pieces(encode_texts(data, features)), items))
        return Subject(bundle, [f"piece {n} of the text" for n in range(len(sequences))], sequences, [])
    examples = list(islice(iter(data), items))
    if not examples:
        raise InputError(describe("data", "no items", "one item or more"))
    sequences = []
    for example in islice(iter(data), items):
        with data.naming_the_place():
            sequences.append(features.transform(example.item))
    names = [f"item {n} (line {one.line})" for n, one in enumerate(examples)]
    return Subject(bundle, names, sequences, [one.item for one in examples])


def drawn_like(subject: Subject, length: int) -> Array:
    """Return a sequence of so many steps that the model may read."""
    return draw_sequences(subject.saved[0], [length], length, padding=False)[0]


def _pieces(tokens: Any) -> Iterator[Array]:
    """Give the documents of a text, cut where they are long."""
    ends = [*tokens.starts[1:].tolist(), len(tokens.ids)]
    for start, end in zip(tokens.starts.tolist(), ends, strict=True):
        for first in range(start, end, PIECE):
            yield np.asarray(tokens.ids[first : min(first + PIECE, end)], np.int64)
