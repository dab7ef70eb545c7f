"""The specification of a sequence model: checked, saved as JSON, used by ``build``."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

from rekur import _check
from rekur._ids import RESERVED
from rekur.errors import InputError, describe

_OF_VECTORS = ("vector_size", "trained_size")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SequenceSpec:
    """The specification of a model from a sequence to one vector of scores.

    Dropouts are probabilities in [0, 1), used in training.

    Args:
        discrete: True if a step is a token number, False if it is a row of numbers.
        input_size: vocabulary size V, or size D of a step; 1 or more.
        output_size: number of scores; 1 or more.
        cell: a name in ``rekur.cells.CELLS``.
        hidden_size: hidden units H of each layer and direction; 1 or more.
        num_layers: number of stacked layers; 1 or more.
        bidirectional: also read backwards; such a model cannot run live.
        kernel_size: width in steps of a causal convolution before the recurrent layers; 0 for no convolution.
        embedding_size: size of a token's learned vector; 1 or more, unused if ``discrete`` is False.
        vector_size: size of the trained vectors of all tokens, never changed, beside the learned ones; 0 for none.
        trained_size: number of tokens with learned vectors, the first ones, in [2, V]; others read that of unknown
            tokens. 0 for all, as without trained vectors.
        pooling: the reduction of all outputs to one vector: ``last``, ``mean``, ``max``, ``attention``, or several
            joined by ``+``.
        token_dropout: of a token, which is read as unknown.
        input_dropout: of a feature, for a whole sequence.
        input_noise: standard deviation of noise on standardized numbers in training, 0 or more.
        dropout: of a value between layers and before the scores.
        recurrent_dropout: of a hidden value on its way to the next step, for a whole sequence.
        residual: add each layer's input to its output.
        norm: layer norm after each layer.
    """

    discrete: bool
    input_size: int
    output_size: int
    cell: str
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    embedding_size: int = 128
    vector_size: int = 0
    trained_size: int = 0
    kernel_size: int = 0
    pooling: str = "last"
    token_dropout: float = 0.0
    input_dropout: float = 0.0
    input_noise: float = 0.0
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    residual: bool = False
    norm: bool = False

    def __post_init__(self) -> None:
        for name in ("input_size", "output_size", "hidden_size", "embedding_size"):
            _check.size(name, getattr(self, name))
        _check.size("vector_size", self.vector_size, low=0)
        if self.vector_size:
            _check.whole("trained_size", self.trained_size, RESERVED, self.input_size)
        _check.layers("num_layers", self.num_layers)
        for name in ("token_dropout", "input_dropout", "dropout", "recurrent_dropout"):
            _check.number(name, getattr(self, name), 0, 1, open_high=True)
        _check.number("input_noise", self.input_noise, 0)
        _check.steps_seen("kernel_size", self.kernel_size, low=0)
        for name in ("discrete", "bidirectional", "residual", "norm"):
            _check.flag(name, getattr(self, name))
        check_cell_options(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON, as an earlier Rekur wrote it where there are no trained vectors."""
        saved = dataclasses.asdict(self)
        return saved if self.vector_size else {name: saved[name] for name in saved if name not in _OF_VECTORS}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the specification from :meth:`to_dict`; an unknown key is an error."""
        _check.no_unknown("model specification key", saved, [f.name for f in dataclasses.fields(cls)])
        return cls(**saved)


#: options of recurrent layers that a Transformer has no place for, or has of its own
_OF_CELLS = ("recurrent_dropout", "weight_dropout", "checkpoint_steps", "residual", "norm")


def check_cell_options(spec: Any) -> None:
    """Raise for an option of recurrent layers in a specification whose ``cell`` is the Transformer.

    Args:
        spec: a specification with a ``cell``.

    Raises:
        InputError: the message names the option.
    """
    from rekur.program.cells import TRANSFORMER

    for name in _OF_CELLS if spec.cell == TRANSFORMER else ():
        if value := getattr(spec, name, None):
            expected = f"none with the cell '{TRANSFORMER}'"
            raise InputError(describe(name, value, expected, "It is for recurrent layers; leave it out."))
