"""The specification of a network that reads one text and writes another: checked, saved as JSON."""

from __future__ import annotations

import dataclasses

from rekur import _check
from rekur._ids import RESERVED_OF_PAIRS
from rekur.errors import InputError, describe
from rekur.models.encoder_spec import EncoderSpec

ATTENTIONS = ("dot", "additive")
#: the tables that are one: none; that of the decoder's input and output; that of the source too
TYINGS = ("none", "target", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderSpec(EncoderSpec):
    """The specification of an encoder of a source text and a decoder of a target text.

    Args:
        output_size: number of target tokens V, with the reserved ones; 5 or more.
        decoder_size: hidden units of each layer of the decoder; 1 or more.
        decoder_layers: stacked layers of the decoder; 1 or more.
        attention: how a state scores the steps of the source: ``dot`` or ``additive``.
        tying: which tables of vectors are one: ``none``; ``target``, those that the decoder reads and predicts by; or
            ``all``, that of the source too, which needs one vocabulary of both sides.
        state_dropout: of a value of the decoder's state or context, for a whole sequence.
        output_dropout: of a value of the row that is scored, for a whole sequence.
        label_smoothing: share of the target spread over all tokens in training, in [0, 1).
        samples: tokens, drawn for each batch, over which training sums the softmax; 0 for all.

    Example:
        >>> spec = DecoderSpec(columns=(9,), output_size=9, cell="gru", hidden_size=8, decoder_size=8, tying="all")
        >>> DecoderSpec.from_dict(spec.to_dict()) == spec
        True
    """

    output_size: int
    decoder_size: int
    decoder_layers: int = 1
    attention: str = "dot"
    tying: str = "target"
    state_dropout: float = 0.0
    output_dropout: float = 0.0
    label_smoothing: float = 0.0
    samples: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.size("output_size", self.output_size, low=RESERVED_OF_PAIRS + 1)
        _check.size("decoder_size", self.decoder_size)
        _check.layers("decoder_layers", self.decoder_layers)
        _check.choice("attention", self.attention, ATTENTIONS)
        _check.choice("tying", self.tying, TYINGS)
        _check.whole("samples", self.samples, 0)
        for name in ("state_dropout", "output_dropout", "label_smoothing"):
            _check.number(name, getattr(self, name), 0, 1, open_high=True)
        if len(self.columns) != 1:
            raise InputError(describe("columns", self.columns, "one column of ids"))
        if self.tying == "all" and self.columns != (self.output_size,):
            got = f"source tokens: {self.columns[0]}, target tokens: {self.output_size}"
            raise InputError(f"tying: got 'all' with other vocabularies ({got}); expected one. Say tying='target'.")
