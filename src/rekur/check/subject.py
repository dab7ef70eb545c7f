"""The subject of proofs: a saved model with sequences from the user's data, or random ones.

Axes: T time, D numbers of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.data import encode_texts
from rekur.errors import InputError, describe
from rekur.program import Engine, Program, draw_sequences
from rekur.runtime import Bundle, Model, model_of

#: lengths of random sequences
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
#: most tokens of a piece of text
PIECE = 128


@dataclass(frozen=True)
class Subject:
    """A saved model and the sequences to run it on.

    Attributes:
        bundle: the saved model.
        names: the name of each sequence in tables.
        sequences: input of the model: token numbers (T,) or rows (T, D).
        items: the raw items of the sequences; empty for random ones and for pieces of a text.
        load_trained: returns the model in PyTorch from the folder of a bundle; None for no proofs in PyTorch.
    """

    bundle: Bundle
    names: list[str]
    sequences: list[Array]
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
    def engine(self) -> Engine:
        """The engine of the program."""
        return Engine(*self.saved)

    @cached_property
    def whole(self) -> Any:
        """The outputs of all sequences, run together: (N, K), or one (T, K) a sequence with an output at every step."""
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
        sequences = draw_sequences(program, LENGTHS[:items], padding=False)
        return Subject(bundle, [f"drawn sequence of {len(x)} steps" for x in sequences], sequences, [], load_trained)
    features = bundle.features()
    if bundle.target(features).kind == "next":
        sequences = list(islice(_pieces(encode_texts(data, features)), items))
        return Subject(bundle, [f"piece {n} of the text" for n in range(len(sequences))], sequences, [], load_trained)
    examples = list(islice(iter(data), items))
    if not examples:
        raise InputError(describe("data", "no items", "one item or more"))
    sequences = []
    for example in islice(iter(data), items):
        with data.naming_the_place():
            sequences.append(features.transform(example.item))
    names = [f"item {n} (line {example.line})" for n, example in enumerate(examples)]
    return Subject(bundle, names, sequences, [example.item for example in examples], load_trained)


def drawn_like(subject: Subject, length: int) -> Array:
    """Return a random sequence of this length for the model."""
    return draw_sequences(subject.saved[0], [length], length, padding=False)[0]


def _pieces(tokens: Any) -> Iterator[Array]:
    """Yield the documents of a text, in pieces of at most ``PIECE`` tokens."""
    ends = [*tokens.starts[1:].tolist(), len(tokens.ids)]
    for start, end in zip(tokens.starts.tolist(), ends, strict=True):
        for first in range(start, end, PIECE):
            yield np.asarray(tokens.ids[first : min(first + PIECE, end)], np.int64)
