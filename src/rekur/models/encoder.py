"""The encoder from a sequence to one vector a step: embed, convolve, recur.

Axes: B batch, T time, C columns of ids, D input features, E embedding, O outputs of the recurrent stack.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree

from rekur._ids import RESERVED
from rekur.cells import Cell, RecurrentDropout, make_cell
from rekur.errors import InputError, describe
from rekur.models.encoder_spec import EncoderSpec
from rekur.models.language_spec import LanguageSpec
from rekur.models.spec import SequenceSpec
from rekur.models.transformer import TransformerStack
from rekur.nn import CausalConv, Embedding, Recurrent
from rekur.nn.stack import RecurrentOutput, locked_dropout
from rekur.program.cells import TRANSFORMER

#: norm of the trained vectors of words beside ten learned ones of norm 1: about as much as all of those together
VECTOR_NORM = 3.0


def of_unit_norm(vectors: Tensor) -> Tensor:
    """Return vectors (V, E), scaled to a mean square norm of 1, as learned ones have at first."""
    return vectors / (float(vectors.square().sum(dim=1).mean().sqrt()) or 1.0)


class FixedVectors(nn.Embedding):
    """A trained vector for each id, which training does not change; zeros until it is set.

    Numbers are rounded to float16, as a bundle stores them.

    Args:
        count: number of ids V.
        size: features P of a vector.

    Example:
        >>> vectors = FixedVectors(3, 2)
        >>> vectors.set(torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.6, 0.8]]))
        >>> vectors(torch.tensor([2])).tolist()
        [[0.60009765625, 0.7998046875]]
    """

    def __init__(self, count: int, size: int) -> None:
        super().__init__(count, size, _weight=torch.zeros(count, size))
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def set(self, vectors: Tensor) -> None:
        """Set the vectors, (V, P)."""
        self.weight.copy_(vectors.half())


class ColumnEmbedding(nn.Module):
    """A learned vector for each id of each column, joined to one vector a step; id 0 is padding and gives zeros.

    Args:
        sizes: number of ids of each column, (C,).
        size: size of a vector of the first column.
        part_size: size of a vector of every other column.
        token_dropout: probability in training that an id of the first column is read as unknown (id 1).
        vector_size: size of a vector of the last column, which training does not change; 0 if it is learned like the
            others.

    Example:
        >>> embedding = ColumnEmbedding((10, 6, 6), 4, 2)
        >>> embedding(torch.tensor([[[5, 2, 3], [0, 0, 0]]])).shape
        torch.Size([1, 2, 8])
    """

    offsets: Tensor
    limits: Tensor

    def __init__(
        self, sizes: tuple[int, ...], size: int, part_size: int, *, token_dropout: float = 0.0, vector_size: int = 0
    ) -> None:
        super().__init__()
        parts = sizes[1:-1] if vector_size else sizes[1:]
        self.words = Embedding(sizes[0], size, token_dropout=token_dropout)
        self.parts = Embedding(sum(parts), part_size) if parts else None
        self.vectors = FixedVectors(sizes[-1], vector_size) if vector_size else None
        self._borrowed: tuple[FixedVectors, ...] = ()  # a tuple, so that they are no weights of this module
        self.output_size = size + part_size * len(parts) + vector_size
        starts = list(accumulate(parts[:-1], initial=0)) if parts else []
        self.register_buffer("offsets", torch.tensor(starts, dtype=torch.int64), persistent=False)
        if self.parts is not None:
            with torch.no_grad():  # id 0 of every column is padding
                self.parts.weight[self.offsets] = 0
        self.register_buffer("limits", torch.tensor(sizes[1:], dtype=torch.int64), persistent=False)

    @property
    def fixed(self) -> FixedVectors | None:
        """The vectors of the last column that training does not change: its own, or borrowed ones."""
        return self._borrowed[0] if self._borrowed else self.vectors

    def borrow_vectors(self, lender: ColumnEmbedding) -> None:
        """Read those of another embedding in place of its own, so that a model has them once."""
        if self.vectors is not None and lender.vectors is not None:
            self.vectors, self._borrowed = None, (lender.vectors,)

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor) -> None:
        """Set the vectors of the last column, (V - 2, E), scaled to one norm; padding and unknown have zeros."""
        if self.vectors is None:
            raise InputError(describe("vectors", vectors.shape, "none for an embedding with vector_size=0"))
        self.vectors.set(functional.pad(VECTOR_NORM * of_unit_norm(vectors), (0, 0, RESERVED, 0)))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (B, T, E) of ids (B, T, C).

        Raises:
            InputError: an id is outside of its column's range.
        """
        words: Tensor = self.words(ids[..., 0])
        others = ids[..., 1:]
        if ids.device.type == "cpu" and others.shape[-1]:
            self._check_range(others)
        joined = [words]
        if self.parts is not None:
            parts = others[..., : len(self.offsets)]
            joined.append((self.parts(parts + self.offsets) * (parts > 0).unsqueeze(-1)).flatten(-2))
        if self.fixed is not None:
            joined.append(self.fixed(others[..., -1]))
        return torch.cat(joined, dim=-1)

    def _check_range(self, parts: Tensor) -> None:
        outside = (parts < 0) | (parts >= self.limits)
        if bool(outside.any()):
            column = int(outside.flatten(0, -2).any(dim=0).nonzero()[0])
            value = int(parts[..., column][outside[..., column]][0])
            expected = f"a whole number in [0, {int(self.limits[column])})"
            raise InputError(describe(f"id in column {column + 2}", value, expected))


class Encoder(nn.Module):
    r"""Embed ids or take rows of numbers, convolve, recur; with a look-ahead k the output of t is that of t + k.

    .. math:: y_t = \mathrm{recur}(\mathrm{conv}(\max(0, W\,\mathrm{embed}(x) + b)))_{t+k}

    A look-ahead reads the input on as k steps of zeros.

    Args:
        spec: the specification.

    Example:
        >>> spec = EncoderSpec(columns=(10, 6), cell="gru", hidden_size=8, bidirectional=True)
        >>> Encoder(spec)(torch.tensor([[[4, 5], [5, 2], [0, 0]]]), torch.tensor([2])).shape
        torch.Size([1, 3, 16])
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.input_size
        self.embedding: ColumnEmbedding | None = None
        if spec.columns:
            sizes = (spec.embedding_size, spec.part_size)
            self.embedding = ColumnEmbedding(
                spec.columns, *sizes, token_dropout=spec.token_dropout, vector_size=spec.vector_size
            )
            width = self.embedding.output_size
        self.replacement: nn.Parameter | None = None
        if spec.columns and spec.word_dropout:
            self.replacement = nn.Parameter(torch.randn(width) * spec.part_size**-0.5)
        self.projection: nn.Linear | None = None
        if spec.projection_size:
            self.projection = nn.Linear(width, spec.projection_size)
            width = spec.projection_size
        self.conv, self.recurrent = make_stack(spec, width, locked=True)
        self.output_size = self.recurrent.output_size

    @property
    def first_weights(self) -> str:
        """How the names of the weights begin that read ids or rows of numbers."""
        parts = {"embedding": self.embedding, "projection": self.projection, "conv": self.conv}
        first = next((name for name, part in parts.items() if part is not None), "recurrent.layers.0")
        return f"{first}."

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the outputs (B, T, O) for ids (B, T, C) or rows of numbers (B, T, D) of lengths (B,)."""
        steps = self.spec.look_ahead
        if steps:
            x, lengths = _read_on(x, lengths, steps)
        return self.run(x, lengths).output[:, steps:]

    def run(self, x: Tensor, lengths: Tensor) -> RecurrentOutput:
        """Return the outputs without look-ahead (B, T, O) and the last state of whole sequences.

        Args:
            x: ids (B, T, C) or rows of numbers (B, T, D).
            lengths: real steps of each row, (B,).
        """
        x = self._inputs(x)
        if self.conv is not None:
            x = functional.relu(self.conv(x))
        result: RecurrentOutput = self.recurrent(x, lengths=lengths)
        return result

    def advance(self, x: Tensor, lengths: Tensor, begins: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs of the next steps of sequences, and the state behind them.

        Args:
            x: ids (B, T, C) or rows of numbers (B, T, D).
            lengths: real steps of each row, (B,); a row with fewer than T ends with them.
            begins: whether the steps of a row are its first ones, bool (B,).
            state: the state before them; None if all rows begin.

        Returns:
            the outputs (B, T, O), which come late by the look-ahead, and the state.
        """
        x = self._inputs(x)
        begun = self.initial_state(x)
        if state is not None:
            begun = _pytree.tree_map(partial(_where_begins, begins), begun, state)
        window, layers = begun
        if self.conv is not None:
            seen = torch.cat([window[0], x], dim=1)
            x = functional.relu(self.conv(x, window))
            window = (seen[:, seen.shape[1] - window[0].shape[1] :],)
        run = self.recurrent(x, layers, lengths=lengths)
        return run.output, _pytree.tree_map(Tensor.detach, (window, run.state))

    def initial_state(self, x: Tensor) -> Any:
        """Return the state before the first step of the sequences of inputs (B, T, …)."""
        window = () if self.conv is None else self.conv.initial_state(len(x))
        return _pytree.tree_map(lambda leaf: leaf.to(x.device), (window, self.recurrent.initial_state(len(x))))

    def _inputs(self, x: Tensor) -> Tensor:
        """Return what the convolution or the recurrence reads, (B, T, E)."""
        spec = self.spec
        if self.embedding is not None:
            x = self.embedding(x)
        if self.training and self.replacement is not None:
            dropped = torch.rand(x.shape[:2], device=x.device) < self.spec.word_dropout
            x = torch.where(dropped.unsqueeze(-1), self.replacement.to(x.dtype), x)
        x = locked_dropout(x, spec.input_dropout, training=self.training)
        if self.projection is not None:
            x = locked_dropout(functional.relu(self.projection(x)), spec.input_dropout, training=self.training)
        return x


def _where_begins(begins: Tensor, fresh: Tensor, carried: Tensor) -> Tensor:
    """Return a state whose rows are fresh where a sequence begins."""
    mask = begins.view(-1, *[1] * (carried.dim() - 1))
    return torch.where(mask, fresh.to(carried.dtype), carried.to(fresh.device))


def _read_on(x: Tensor, lengths: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return sequences (B, T, …) with zeros behind their ends, and lengths with as many steps more."""
    x = functional.pad(x, (0, 0, 0, steps))
    real = torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]
    return torch.where(real.unsqueeze(-1), x, x.new_zeros(())), lengths + steps


def make_stack(
    spec: EncoderSpec | SequenceSpec, input_size: int, *, locked: bool = False
) -> tuple[CausalConv | None, Recurrent | TransformerStack]:
    """Return the convolution of a specification, None without one, and the recurrent layers behind it.

    In their place may stand a Transformer: one for whole items sees all their steps, one that gives an output at every
    step only those that recurrent layers see.
    """
    conv = None
    if spec.kernel_size:
        conv = CausalConv(input_size, max(input_size, spec.hidden_size), spec.kernel_size)
        input_size = conv.output_size
    dropout = spec.dropout if spec.num_layers > 1 else 0.0
    if spec.cell == TRANSFORMER:
        causal = isinstance(spec, EncoderSpec) and not spec.bidirectional
        how: dict[str, Any] = {"num_layers": spec.num_layers, "dropout": dropout, "locked": locked}
        return conv, TransformerStack(input_size, spec.hidden_size, causal=causal, **how)
    recurrent = Recurrent(
        lambda size: make_spec_cell(spec, size),
        input_size,
        spec.hidden_size,
        num_layers=spec.num_layers,
        bidirectional=spec.bidirectional,
        dropout=dropout,
        locked=locked,
        residual=spec.residual,
        norm=spec.norm,
    )
    return conv, recurrent


def make_spec_cell(
    spec: EncoderSpec | SequenceSpec | LanguageSpec, input_size: int, hidden_size: int | None = None
) -> Cell:
    """Return a new cell of a specification; ``hidden_size`` stands for that of the specification."""
    cell = make_cell(spec.cell, input_size, spec.hidden_size if hidden_size is None else hidden_size)
    return RecurrentDropout(cell, spec.recurrent_dropout) if spec.recurrent_dropout else cell
