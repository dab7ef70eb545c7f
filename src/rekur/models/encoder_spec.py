"""The specification of an encoder and of a tagger: checked, saved as JSON, used by the networks of their names."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

from rekur import _check
from rekur.errors import InputError, describe
from rekur.models.spec import check_cell_options

#: most steps of a look-ahead
MOST_LOOK_AHEAD = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """The specification of an encoder.

    Dropouts are probabilities in [0, 1), used in training.

    Args:
        columns: number of ids of each column, (C,), each 2 or more; empty if a step is a row of numbers.
        input_size: size D of a row of numbers, 1 or more; 0 if a step is ids.
        cell: a name in ``rekur.cells.CELLS``.
        hidden_size: hidden units H of each layer and direction; 1 or more.
        num_layers: number of stacked layers; 1 or more.
        bidirectional: also read backwards; such a model cannot run live.
        embedding_size: size of the vector of an id of the first column, such as a word; 1 or more.
        part_size: size of the vector of an id of every other column, such as a suffix; 1 or more.
        vector_size: size of the trained vectors, never changed, of the ids of the last column; 0 if they have learned
            ones.
        projection_size: size of a layer with a rectifier between embedding and recurrence; 0 for none.
        kernel_size: width in steps of a causal convolution before the recurrent layers; 0 for no convolution.
        look_ahead: later steps that an output has seen; live it comes as many steps late. 0 with ``bidirectional``.
        token_dropout: of an id of the first column, which is read as unknown.
        word_dropout: of a word with all its columns, which is read as a learned vector.
        input_dropout: of a feature, for a whole sequence.
        dropout: of a value between layers.
        recurrent_dropout: of a hidden value on its way to the next step, for a whole sequence.
        residual: add each layer's input to its output.
        norm: layer norm after each layer.
    """

    columns: tuple[int, ...] = ()
    input_size: int = 0
    cell: str
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    embedding_size: int = 96
    part_size: int = 32
    vector_size: int = 0
    projection_size: int = 0
    kernel_size: int = 0
    look_ahead: int = 0
    token_dropout: float = 0.0
    word_dropout: float = 0.0
    input_dropout: float = 0.0
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    residual: bool = False
    norm: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(_check.size("size of a column", size, 2) for size in self.columns))
        if bool(self.columns) == bool(self.input_size):
            got = f"columns={self.columns} and input_size={self.input_size}"
            raise InputError(f"encoder: got {got}; expected one of them.")
        _check.size("input_size", self.input_size, low=0)
        for name in ("hidden_size", "embedding_size", "part_size"):
            _check.size(name, getattr(self, name))
        _check.size("vector_size", self.vector_size, low=0)
        if self.vector_size and len(self.columns) < 2:
            raise InputError(describe("vector_size", self.vector_size, "0 without a second column of ids"))
        _check.size("projection_size", self.projection_size, low=0)
        _check.layers("num_layers", self.num_layers)
        for name in ("token_dropout", "word_dropout", "input_dropout", "dropout", "recurrent_dropout"):
            _check.number(name, getattr(self, name), 0, 1, open_high=True)
        _check.steps_seen("kernel_size", self.kernel_size, low=0)
        _check.whole("look_ahead", self.look_ahead, low=0, high=MOST_LOOK_AHEAD)
        if self.look_ahead and self.bidirectional:
            expected = "0 with bidirectional=True, which sees every later step"
            fix = "Say bidirectional=False (--causal), or leave it out."
            raise InputError(describe("look_ahead", self.look_ahead, expected, fix))
        for name in ("bidirectional", "residual", "norm"):
            _check.flag(name, getattr(self, name))
        check_cell_options(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON."""
        return dataclasses.asdict(self) | {"columns": list(self.columns)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the specification from :meth:`to_dict`; an unknown key is an error."""
        _check.no_unknown("model specification key", saved, [field.name for field in dataclasses.fields(cls)])
        return cls(**saved)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggerSpec(EncoderSpec):
    """The specification of a tagger: an encoder, and scores at every step.

    Args:
        output_size: number of scores of a step; 1 or more.
        members: networks whose scores are averaged; 1 or more.

    Example:
        >>> spec = TaggerSpec(columns=(100, 50), cell="gru", hidden_size=8, output_size=3)
        >>> TaggerSpec.from_dict(spec.to_dict()) == spec
        True
    """

    output_size: int
    members: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.size("output_size", self.output_size)
        _check.size("members", self.members)
