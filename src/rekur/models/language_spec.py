"""The specification of a language model: checked, saved as JSON, used by ``build_language``."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

from rekur import _check
from rekur.errors import InputError, describe
from rekur.models.spec import check_cell_options

SOFTMAXES = ("full", "adaptive", "sampled")
_CHANCES = (
    "row_dropout",
    "input_dropout",
    "ngram_dropout",
    "dropout",
    "output_dropout",
    "weight_dropout",
    "recurrent_dropout",
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LanguageSpec:
    """The specification of a model of the next token; dropouts are probabilities in [0, 1), used in training.

    Args:
        vocabulary_size: number of tokens V, including padding (0) and unknown (1); 3 or more.
        cell: a name in ``rekur.cells.CELLS``.
        hidden_size: hidden units H of each layer; 1 or more.
        num_layers: number of stacked layers; 1 or more.
        embedding_size: size E of a token's vector; 1 or more.
        ngrams: orders of the n-grams with learned vectors, each 2 or more; () for none.
        ngram_rows: rows of each of their tables: one for each n-gram with its own vector, and one for all others.
        recall: lengths of the runs of tokens whose last follower in the sequence is looked up, each 2 or more;
            () for none.
        recall_slots: number of stored runs of each length; a power of 2.
        tied: whether the output layer uses the embedding's weights.
        softmax: ``full``, ``adaptive`` (frequent tokens in a first cluster) or ``sampled`` (in training the
            probability is relative to randomly drawn tokens; otherwise exact).
        cutoffs: for ``adaptive``: the first token number of each further cluster, rising, below V.
        samples: for ``sampled``: number of drawn tokens for each chunk; 1 or more.
        row_dropout: of a token's vector, wherever the token stands in a chunk.
        input_dropout: of a feature of the input, for a whole chunk.
        ngram_dropout: of a feature of the vectors of one order, for a whole chunk.
        dropout: of a feature between layers, for a whole chunk.
        output_dropout: of a feature before the output layer, for a whole chunk.
        weight_dropout: of a recurrent weight, for a whole chunk.
        recurrent_dropout: of a hidden value on its way to the next step, for a whole chunk.
        activation_regularisation: weight of the mean squared output in the loss; 0 or more.
        temporal_regularisation: weight of the mean squared change of the output from step to step; 0 or more.
        residual: add each layer's input to its output, from the second layer on.
        norm: layer norm after each layer.
        checkpoint_steps: store states for the gradient only at this interval of steps and compute the others twice;
            0 stores all.
    """

    vocabulary_size: int
    cell: str = "lstm"
    hidden_size: int = 256
    num_layers: int = 1
    embedding_size: int = 64
    ngrams: tuple[int, ...] = ()
    ngram_rows: tuple[int, ...] = ()
    recall: tuple[int, ...] = ()
    recall_slots: int = 4096
    tied: bool = False
    softmax: str = "full"
    cutoffs: tuple[int, ...] = ()
    samples: int = 2048
    row_dropout: float = 0.0
    input_dropout: float = 0.0
    ngram_dropout: float = 0.0
    dropout: float = 0.0
    output_dropout: float = 0.0
    weight_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    activation_regularisation: float = 0.0
    temporal_regularisation: float = 0.0
    residual: bool = False
    norm: bool = False
    checkpoint_steps: int = 0

    def __post_init__(self) -> None:
        _check.size("vocabulary_size", self.vocabulary_size, low=3)
        for name in ("hidden_size", "embedding_size", "samples"):
            _check.size(name, getattr(self, name))
        _check.layers("num_layers", self.num_layers)
        for name in _CHANCES:
            _check.number(name, getattr(self, name), 0, 1, open_high=True)
        for name in ("activation_regularisation", "temporal_regularisation"):
            _check.number(name, getattr(self, name), 0)
        for name in ("tied", "residual", "norm"):
            _check.flag(name, getattr(self, name))
        _check.choice("softmax", self.softmax, SOFTMAXES)
        _check.whole("checkpoint_steps", self.checkpoint_steps, low=0)
        check_cell_options(self)
        self._check_lists()

    def _check_lists(self) -> None:
        for name in ("ngrams", "ngram_rows", "recall", "cutoffs"):
            object.__setattr__(self, name, tuple(_check.several(name, getattr(self, name))))
        for name in ("ngrams", "recall"):
            lengths = getattr(self, name)
            for length in lengths:
                _check.whole(name, length, low=2, high=16)
            if len(set(lengths)) < len(lengths):
                raise InputError(describe(name, lengths, "lengths that differ"))
        _check.slots("recall_slots", self.recall_slots)
        if len(self.ngram_rows) != len(self.ngrams):
            raise InputError(describe("ngram_rows", self.ngram_rows, f"{len(self.ngrams)} numbers, one for each ngram"))
        for rows in self.ngram_rows:
            _check.size("ngram_rows", rows)
        if (self.softmax == "adaptive") != bool(self.cutoffs):
            raise InputError(describe("cutoffs", self.cutoffs, "token numbers with softmax='adaptive', else none"))
        if self.cutoffs:
            _check.cutoffs("cutoffs", self.cutoffs, self.vocabulary_size)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the specification from :meth:`to_dict`; an unknown key is an error."""
        _check.no_unknown("model specification key", saved, [f.name for f in dataclasses.fields(cls)])
        return cls(**saved)
