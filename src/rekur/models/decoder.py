"""The network that reads a source text and writes a target text: an encoder, and a decoder that scans.

Axes: B batch, S source steps, T target steps, E embedding, H outputs of the decoder's layers, M features of the
memory, V target tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rekur._ids import BEGIN, PADDING, RESERVED_OF_PAIRS
from rekur.cells import Cell
from rekur.errors import InputError
from rekur.models.batch import Batch, ItemNetwork
from rekur.models.decoder_spec import DecoderSpec
from rekur.models.encoder import Encoder, make_spec_cell
from rekur.models.making import making
from rekur.nn import AdditiveAttention, DotAttention, Embedding, FullSoftmax, Recurrent, SampledSoftmax
from rekur.nn.attention import Memory
from rekur.nn.stack import StackState, locked_dropout


class Decoder(nn.Module):
    r"""A decoder that scans: layers over the shifted target, then attention, then a row that is scored.

    .. math:: h_t = \mathrm{recur}(e(y_{t-1}), h_{t-1}), \quad c_t = \mathrm{attend}(h_t, M), \quad
              p(y_t) = \mathrm{softmax}(W \tanh(U [h_t; c_t; e(y_{t-1})] + b) + d)

    The first state is :math:`\tanh(A \bar m + a)` of the mean row of the memory, where a cell's state has vectors. No
    state reads a context, so a known target takes one scan.

    Args:
        spec: the specification.
        memory_size: features M of a row of the memory.
        embedding: of the source, which is the target's too; None for one of its own.
    """

    def __init__(self, spec: DecoderSpec, memory_size: int, embedding: Embedding | None = None) -> None:
        super().__init__()
        self.spec = spec
        # a shared table has one owner, and so one name in a saved file
        self._shared: tuple[Embedding, ...] = () if embedding is None else (embedding,)
        self.own_embedding = Embedding(spec.output_size, spec.embedding_size) if embedding is None else None
        self.recurrent = Recurrent(
            lambda size: make_spec_cell(spec, size, spec.decoder_size),
            spec.embedding_size,
            spec.decoder_size,
            num_layers=spec.decoder_layers,
            dropout=spec.dropout if spec.decoder_layers > 1 else 0.0,
            locked=True,
            residual=spec.residual and spec.decoder_layers > 1,
            norm=spec.norm,
        )
        size = self.recurrent.output_size
        sizes = start_sizes(self.recurrent)
        self.start = nn.Linear(memory_size, sum(sizes)) if sizes else None
        self.attention: DotAttention | AdditiveAttention
        if spec.attention == "dot":
            self.attention = DotAttention(size, memory_size, learned=True)
        else:
            self.attention = AdditiveAttention(size, memory_size)
        self.combine = nn.Linear(size + memory_size + spec.embedding_size, spec.embedding_size)
        tied = None if spec.tying == "none" else self.embedding
        self.head = (
            SampledSoftmax(spec.embedding_size, spec.output_size, tied, samples=spec.samples)
            if spec.samples
            else FullSoftmax(spec.embedding_size, spec.output_size, tied)
        )

    @property
    def embedding(self) -> Embedding:
        """The vectors of the target's tokens."""
        return self._shared[0] if self.own_embedding is None else self.own_embedding

    def prepare(self, memory: Tensor, lengths: Tensor) -> tuple[Memory, StackState]:
        """Return what the attention reads, and the state before the first token.

        Args:
            memory: outputs of the encoder, (B, S, M), zeros beyond each row's length.
            lengths: int64 (B,).
        """
        state = self.recurrent.initial_state(len(memory), device=memory.device, dtype=memory.dtype)
        prepared = self.attention.prepare(memory, lengths=lengths)
        if self.start is None:
            return prepared, state
        mean = memory.sum(dim=1) / lengths.to(memory.device).clamp(min=1)[:, None]
        parts = iter(torch.split(torch.tanh(self.start(mean)), start_sizes(self.recurrent), dim=1))
        layers = []
        for layer, (cell_state,) in zip(cells_of(self.recurrent), state, strict=True):
            started = started_by_memory(layer)
            each = [next(parts).to(tensor.dtype) if i in started else tensor for i, tensor in enumerate(cell_state)]
            layers.append((tuple(each),))
        return prepared, tuple(layers)

    def nats(self, targets: Tensor, memory: Memory, state: StackState) -> Tensor:
        """Return the negative log-probability of each target after those before it, (B, T); 0 beyond a row's end.

        Args:
            targets: int64 (B, T), 0 beyond each row's end.
            memory: of :meth:`prepare`.
            state: of :meth:`prepare`.
        """
        spec, training = self.spec, self.training
        real = targets != PADDING
        shifted = functional.pad(targets[:, :-1], (1, 0), value=BEGIN).masked_fill(~real, PADDING)
        embedded = locked_dropout(self.embedding(shifted), spec.input_dropout, training=training)
        hidden = self.recurrent(embedded, state, lengths=real.sum(dim=1).cpu()).output
        context, _ = self.attention.read(hidden, memory)
        read = locked_dropout(torch.cat([hidden, context], dim=-1), spec.state_dropout, training=training)
        row = locked_dropout(self.row(read, embedded), spec.output_dropout, training=training)
        smoothing = spec.label_smoothing if training else 0.0
        nats = self.head(row[real], targets[real], smoothing=smoothing)
        padded: Tensor = nats.new_zeros(targets.shape).masked_scatter(real, nats)
        return padded

    def row(self, read: Tensor, embedded: Tensor) -> Tensor:
        """Return the row that is scored, (…, E), from state and context (…, H + M) and the last token's vector."""
        row: Tensor = self.combine(torch.cat([read, embedded], dim=-1))
        return torch.tanh(row)


def cells_of(stack: Recurrent) -> list[Cell]:
    """Return the cells of a stack that reads forward, from the input on."""
    return [layer.cell for layer in stack.layers]  # type: ignore[misc]


def started_by_memory(cell: Cell) -> list[int]:
    """Return the indices of the tensors of a cell's state that the memory sets: vectors named h or c."""
    sizes = cell.state_sizes()
    names = cell.state_names or ("h",) * len(sizes)
    return [i for i, (name, size) in enumerate(zip(names, sizes, strict=True)) if name in ("h", "c") and len(size) == 1]


def start_sizes(stack: Recurrent) -> list[int]:
    """Return the sizes of all state tensors that the memory sets, from the first layer on."""
    return [cell.state_sizes()[i][0] for cell in cells_of(stack) for i in started_by_memory(cell)]


class EncoderDecoder(ItemNetwork):
    """A network of pairs of texts: it reads the source, and scores the target token by token.

    The outputs of a batch are the negative log-probabilities of its targets, (B, T). Without targets, a search over
    :meth:`steps` finds a text.

    Args:
        spec: the specification.

    Example:
        >>> spec = DecoderSpec(columns=(9,), output_size=9, cell="gru", hidden_size=8, decoder_size=8)
        >>> batch = Batch.of(torch.tensor([[4, 5, 0]]), torch.tensor([2]), torch.tensor([[6, 3]]))
        >>> outputs, loss = EncoderDecoder(spec)(batch)
        >>> outputs.shape, loss.shape
        (torch.Size([1, 2]), torch.Size([]))
    """

    #: it needs the whole source
    streams = False

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec)
        shared = None
        if spec.tying == "all" and self.encoder.embedding is not None:
            shared = self.encoder.embedding.words
        self.decoder = Decoder(spec, self.encoder.output_size, shared)

    def outputs(self, batch: Batch) -> Tensor:
        """Return the negative log-probability of each target (B, T), 0 beyond a row's end; in training smoothed."""
        if batch.targets is None:
            raise InputError("batch: got no targets; expected those that are scored. Search with steps() instead.")
        memory, state = self.encode(batch.steps, batch.lengths)
        return self.decoder.nats(batch.targets, memory, state)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the outputs of a batch, and their mean over all target tokens."""
        nats, targets = self.outputs(batch), cast(Tensor, batch.targets)
        total = nats if batch.weights is None else nats * batch.weights[:, None]
        return nats, total.sum() / (targets != PADDING).sum().clamp(min=1)

    def encode(self, ids: Tensor, lengths: Tensor) -> tuple[Memory, StackState]:
        """Return what the attention reads of source ids (B, S) of lengths (B,), and the decoder's first state."""
        return self.decoder.prepare(self.encoder(ids[..., None], lengths), lengths)

    def numbering(self) -> dict[str, str]:
        """Return the weights whose rows tokens number; the features know those of both sides."""
        ends = (f"encoder.{self.encoder.first_weights}", "decoder.own_embedding.", "decoder.head.")
        return {name: "features" for name, _ in self.named_parameters() if name.startswith(ends)}

    def start_bias(self, counts: Tensor) -> None:
        """Initialize the output bias with the frequency of each target token, from counts (V,) plus one."""
        self.decoder.head.start(torch.log((counts.double() + 1) / (counts.sum() + len(counts))).float())

    def steps(self) -> DecoderSteps:
        """Return the function that scores the next token of many texts side by side."""
        return DecoderSteps(self)


class Sources(NamedTuple):
    """Source texts that were read.

    Attributes:
        memory: what the attention reads, tensors (N, S, …).
        layers: the decoder's first state.
    """

    memory: Memory
    layers: StackState


class DecoderState(NamedTuple):
    """The state of B target texts that are being written.

    Attributes:
        layers: the state of each layer, tensors (B, …).
        memory: of N sources, which no step changes.
        sources: the row of the memory that each text reads, int64 (B,).
    """

    layers: StackState
    memory: Memory
    sources: NDArray[np.int64]


#: share of the memory's rows that are still read, below which the others are left out
_STILL_READ = 0.75


class DecoderSteps:
    """Steps of a trained network on PyTorch; see :class:`rekur.decode.StepFunction`. No method changes a state.

    Args:
        network: the network.
    """

    def __init__(self, network: EncoderDecoder) -> None:
        self._network = network
        self._device = next(network.parameters()).device

    @torch.no_grad()
    def encode(self, sequences: Sequence[Any]) -> Sources:
        """Return sources of token numbers (S,) each as :meth:`begin` takes them."""
        lengths = torch.tensor([len(each) for each in sequences])
        ids = torch.zeros(len(sequences), int(lengths.max()), dtype=torch.int64)
        for row, each in enumerate(sequences):
            ids[row, : len(each)] = torch.from_numpy(np.asarray(each, np.int64))
        return Sources(*self._network.eval().encode(ids.to(self._device), lengths))

    def begin(self, batch: int, memory: Any = None) -> DecoderState:
        """Return the state of B texts before their first token.

        Args:
            batch: B.
            memory: of :meth:`encode`, with one source a text.
        """
        return DecoderState(memory.layers, memory.memory, np.arange(batch))

    @torch.no_grad()
    def step(self, ids: NDArray[np.int64], state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Return the log-probabilities (B, V) of the next token after one more token of each text, and the state.

        Tokens that are never written, such as padding, have minus infinity.
        """
        decoder = self._network.decoder
        embedded = decoder.embedding(torch.from_numpy(np.asarray(ids, np.int64)).to(self._device))
        hidden, layers = decoder.recurrent.step(embedded, state.layers)
        context = self._context(hidden, state)
        row = decoder.row(torch.cat([hidden, context], dim=-1), embedded)
        scores = decoder.head.log_probabilities(row)
        scores[:, : RESERVED_OF_PAIRS - 1] = -torch.inf
        return scores.float().cpu().numpy(), state._replace(layers=layers)

    def select(self, state: DecoderState, rows: NDArray[np.int64]) -> DecoderState:
        """Return the state of the texts with these numbers, int64 (k,), which may repeat."""
        index = torch.from_numpy(np.asarray(rows, np.int64)).to(self._device)
        layers = tuple(tuple(tuple(t[index] for t in cell) for cell in layer) for layer in state.layers)
        memory, sources = state.memory, state.sources[rows]
        read, renumbered = np.unique(sources, return_inverse=True)
        if len(read) < _STILL_READ * len(memory.keys):
            chosen = torch.from_numpy(read).to(self._device)
            mask = None if memory.mask is None else memory.mask[chosen]
            memory, sources = Memory(memory.keys[chosen], memory.values[chosen], mask), renumbered
        return DecoderState(layers, memory, sources)

    def _context(self, hidden: Tensor, state: DecoderState) -> Tensor:
        """Return the contexts (B, M) of states (B, H); the texts of one source read its memory together."""
        sources, count = state.sources, len(state.memory.keys)
        order = np.argsort(sources, kind="stable")
        places = np.empty(len(sources), np.int64)
        ordered = sources[order]
        places[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        at = torch.from_numpy(sources).to(self._device), torch.from_numpy(places).to(self._device)
        queries = hidden.new_zeros(count, int(places.max(initial=0)) + 1, hidden.shape[1])
        queries[at] = hidden
        context, _ = self._network.decoder.attention.read(queries, state.memory)
        return context[at]


def build_decoder(spec: DecoderSpec, *, seed: int | None = None) -> EncoderDecoder:
    """Return a new network of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.

    Example:
        >>> spec = DecoderSpec(columns=(9,), output_size=9, cell="gru", hidden_size=4, decoder_size=4, tying="all")
        >>> sorted({name.split(".")[1] for name, _ in build_decoder(spec, seed=0).named_parameters()})
        ['attention', 'combine', 'embedding', 'head', 'recurrent', 'start']
    """
    with making(seed):
        return EncoderDecoder(spec)
