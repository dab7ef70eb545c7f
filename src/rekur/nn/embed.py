"""Embeddings: a vector for each token id, zeros for padding, and from files of vectors.

Axes: B batch, T time, V vocabulary, E embedding features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur._ids import PADDING, RESERVED, UNKNOWN
from rekur.errors import InputError, ShapeError, describe


class WordLookup(Protocol):
    """A mapping from words to vectors, such as ``rekur.data.vectors.WordVectors`` or a dict."""

    def get(self, word: str, /) -> np.ndarray | None: ...


class Coverage(NamedTuple):
    """How many words of a vocabulary have a vector in a file.

    Args:
        found: number of words with a vector.
        total: number of words, without padding and unknown.
        missing: the words without a vector, in order of their ids.

    Example:
        >>> print(Coverage(1, 2, ("zyx",)))
        1 of 2 words (50.0 %)
    """

    found: int
    total: int
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of words with a vector, in [0, 1]; 1 for no words."""
        return self.found / self.total if self.total else 1.0

    def __str__(self) -> str:
        return f"{self.found} of {self.total} words ({100 * self.share:.1f} %)"


class Embedding(nn.Module):
    r"""A learned vector for each token id; id 0 is padding and always zeros.

    Args:
        vocabulary_size: number of ids V, with 0 for padding and 1 for unknown; at least 2.
        size: features E of a vector, at least 1.
        token_dropout: probability in training that a token is read as unknown (id 1), which trains the vector of
            unknown words; in [0, 1).
        row_dropout: probability p in training that the vector of a word is zeros in the whole batch; the others are
            scaled by 1/(1 - p); in [0, 1).

    Reference:
        Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, 2016
        (``row_dropout``); Iyyer et al., Deep Unordered Composition, 2015 (``token_dropout``).

    Example:
        >>> embedding = Embedding(10, 4)
        >>> embedding(torch.tensor([[5, 2, 0]])).shape
        torch.Size([1, 3, 4])
        >>> embedding(torch.tensor([0])).tolist()
        [[0.0, 0.0, 0.0, 0.0]]
    """

    #: set by :meth:`from_vectors`
    coverage: Coverage | None = None

    def __init__(
        self, vocabulary_size: int, size: int, *, token_dropout: float = 0.0, row_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.vocabulary_size = _check.size("vocabulary_size", vocabulary_size, low=2)
        self.size = _check.size("size", size)
        self.output_size = self.size
        self.token_dropout = _check.number("token_dropout", token_dropout, 0, 1, open_high=True)
        self.row_dropout = _check.number("row_dropout", row_dropout, 0, 1, open_high=True)
        self.weight = nn.Parameter(torch.empty(vocabulary_size, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every vector from N(0, 1/E), so that its expected norm is 1; padding is zeros."""
        nn.init.normal_(self.weight, std=self.size**-0.5)
        with torch.no_grad():
            self.weight[PADDING] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (…, E) of token ids (…).

        Raises:
            InputError: the ids are not int32 or int64, or outside [0, V).
        """
        if ids.dtype not in (torch.int32, torch.int64):
            expected = "torch.int32 or torch.int64"
            raise InputError(describe("dtype of ids", ids.dtype, expected, "Ids are whole numbers."))
        if ids.device.type == "cpu" and ids.numel():
            self._check_range(ids)
        if self.training and self.token_dropout:
            dropped = torch.rand(ids.shape, device=ids.device, dtype=torch.float32) < self.token_dropout
            ids = ids.masked_fill(dropped & (ids != PADDING), UNKNOWN)
        vectors = functional.embedding(ids, self.weight, padding_idx=PADDING)
        if self.training and self.row_dropout:
            row_mask = functional.dropout(self.weight.new_ones(len(self.weight)), self.row_dropout)
            return vectors * row_mask[ids].unsqueeze(-1)
        return vectors

    def _check_range(self, ids: Tensor) -> None:
        lowest, highest = (int(value) for value in torch.aminmax(ids))
        if lowest < 0 or highest >= self.vocabulary_size:
            expected = f"a whole number in [0, {self.vocabulary_size})"
            fix = "Was the text read with the vocabulary that this model was made for?"
            raise InputError(describe("token id", lowest if lowest < 0 else highest, expected, fix))

    @classmethod
    def from_vectors(
        cls,
        vectors: WordLookup,
        vocabulary: Sequence[str] | Mapping[str, int],
        *,
        freeze: bool = False,
        lowercase: bool = False,
        token_dropout: float = 0.0,
        row_dropout: float = 0.0,
    ) -> Embedding:
        """Return an embedding initialized with the vectors of a file.

        Words without a vector start at random, with the mean norm of the others; padding is zeros. ``coverage`` says
        how many words have a vector.

        Args:
            vectors: from ``rekur.data.vectors.read_vectors``, or a dict from words to arrays (E,).
            vocabulary: the word of each id, padding and unknown first; or a mapping from words to ids.
            freeze: whether training leaves the vectors unchanged.
            lowercase: whether to look up a missing word in lower case too.
            token_dropout: as in :class:`Embedding`.
            row_dropout: as in :class:`Embedding`.

        Raises:
            InputError: no word has a vector.
            ShapeError: the vectors differ in size.

        Example:
            >>> vectors = {"good": np.ones(3, np.float32)}
            >>> embedding = Embedding.from_vectors(vectors, ["<padding>", "<unknown>", "good", "zyx"])
            >>> print(embedding.coverage)
            1 of 2 words (50.0 %)
        """
        _check.flag("freeze", freeze)
        _check.flag("lowercase", lowercase)
        words = _words_by_id(vocabulary)
        vector_of_id = _look_up(vectors, words, lowercase)
        if not vector_of_id:
            total = sum(1 for word in words[RESERVED:] if word is not None)
            raise InputError(
                f"vectors: got none of the {total} words of the vocabulary; expected at least one. "
                "Try lowercase=True, or is the file of another language?"
            )
        matrix = np.stack(list(vector_of_id.values())).astype(np.float32)
        embedding = cls(max(len(words), 2), matrix.shape[1], token_dropout=token_dropout, row_dropout=row_dropout)
        with torch.no_grad():
            embedding.weight.mul_(float(np.sqrt(np.square(matrix).mean() * matrix.shape[1])))
            embedding.weight[torch.tensor(list(vector_of_id))] = torch.from_numpy(matrix)
            embedding.weight[PADDING] = 0
        embedding.weight.requires_grad_(not freeze)
        missing = tuple(w for i, w in enumerate(words) if i > UNKNOWN and i not in vector_of_id and w is not None)
        total = sum(1 for w in words[RESERVED:] if w is not None)
        embedding.coverage = Coverage(total - len(missing), total, missing)
        return embedding

    def extra_repr(self) -> str:
        values = {"token_dropout": self.token_dropout, "row_dropout": self.row_dropout}
        options = "".join(f", {name}={value}" for name, value in values.items() if value)
        return f"{self.vocabulary_size}, {self.size}{options}"


def _words_by_id(vocabulary: Sequence[str] | Mapping[str, int]) -> list[str | None]:
    if not isinstance(vocabulary, Mapping):
        return list(vocabulary)
    words: list[str | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for word, index in vocabulary.items():
        words[_check.whole(f"id of '{word}'", index, low=0)] = word
    return words


def _look_up(vectors: WordLookup, words: list[str | None], lowercase: bool) -> dict[int, np.ndarray]:
    vector_of_id: dict[int, np.ndarray] = {}
    for index, word in enumerate(words):
        if word is None or index <= UNKNOWN:
            continue
        vector = vectors.get(word)
        if vector is None and lowercase:
            vector = vectors.get(word.lower())
        if vector is None:
            continue
        vector_of_id[index] = np.asarray(vector)
        first = next(iter(vector_of_id.values()))
        if vector_of_id[index].ndim != 1 or vector_of_id[index].shape != first.shape:
            thing = f"shape of the vector of '{word}'"
            raise ShapeError(describe(thing, vector_of_id[index].shape, f"{first.shape}, that of the others"))
    return vector_of_id
