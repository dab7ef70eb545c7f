"""The network that predicts the next token, built from its specification.

Axes: B batch, T time, E embedding, O outputs of the recurrent stack, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree

from rekur._ids import PADDING
from rekur.errors import InputError, describe
from rekur.models.encoder import make_spec_cell
from rekur.models.language_spec import LanguageSpec
from rekur.models.making import making
from rekur.models.transformer import TransformerLayer
from rekur.nn import AdaptiveSoftmax, Embedding, FullSoftmax, Layer, NGramEmbedding, SampledSoftmax
from rekur.nn.recall import Recall, RecallState
from rekur.nn.segments import Segments
from rekur.program.cells import TRANSFORMER

State = tuple[Tensor, ...]


class LanguageState(NamedTuple):
    """The state of a language model between two chunks.

    Attributes:
        before: the last few tokens, (B, n - 1); (B, 0) without n-gram embeddings.
        recall: the memory of followers of earlier runs, tensors (B, …); empty without recall.
        layers: the state of each recurrent layer, tensors (B, …).
    """

    before: Tensor
    recall: State
    layers: tuple[State, ...]


class LanguageOutput(NamedTuple):
    """The result for a chunk.

    Attributes:
        loss: the mean over all targets, in nats, with regularizers in training; a scalar.
        nats: the negative log-probability of each target, 0 without one, (B, T); in training with
            ``softmax="sampled"`` only among the drawn tokens.
        state: the state for the next chunk; the caller detaches it.
        hidden: the outputs of the last layer, (B, T, O).
    """

    loss: Tensor
    nats: Tensor
    state: LanguageState
    hidden: Tensor


class LanguageNetwork(nn.Module):
    r"""Embed, recur, score.

    .. math:: p(x_{t+1} \mid x_{\le t}) = \mathrm{softmax}(W\,\mathrm{recur}(\mathrm{embed}(x)_{\le t}) + b)

    Dropout masks are constant over a chunk and row (Gal and Ghahramani 2016). Each chunk draws new ones, also for
    recurrent dropout.

    Args:
        spec: the specification.

    Example:
        >>> network = LanguageNetwork(LanguageSpec(vocabulary_size=10, hidden_size=8, embedding_size=4))
        >>> out = network(torch.tensor([[0, 5, 3]]), torch.tensor([[5, 3, 2]]))
        >>> out.nats.shape, out.hidden.shape
        (torch.Size([1, 3]), torch.Size([1, 3, 8]))
    """

    #: there is an output at every step
    per_step = True
    #: no step needs a later one
    streams = True

    def __init__(self, spec: LanguageSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embedding = Embedding(spec.vocabulary_size, spec.embedding_size, row_dropout=spec.row_dropout)
        self.ngram_embedding: NGramEmbedding | None = None
        if spec.ngrams:
            self.ngram_embedding = NGramEmbedding(
                spec.embedding_size, orders=spec.ngrams, rows=spec.ngram_rows, dropout=spec.ngram_dropout
            )
        self.recall = Recall(orders=spec.recall, slots=spec.recall_slots) if spec.recall else None
        layers = []
        size = spec.embedding_size * (1 + len(spec.recall))
        for number in range(1, spec.num_layers + 1):
            layers.append(_layer(spec, size, last=number == spec.num_layers))
            size = layers[-1].output_size
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(layer.output_size) for layer in layers if spec.norm)
        self.head = _head(spec, size, self.embedding if spec.tied else None)
        self._to_drop = [_recurrent_weights(layer) for layer in layers]
        if spec.weight_dropout and not any(self._to_drop):
            fix = "Use dropout or input_dropout."
            expected = f"0 with cell '{spec.cell}', which has no recurrent weight"
            raise InputError(describe("weight_dropout", spec.weight_dropout, expected, fix))

    def forward(
        self,
        x: Tensor,
        targets: Tensor,
        state: LanguageState | None = None,
        resets: Tensor | None = None,
    ) -> LanguageOutput:
        """Return the loss of a chunk and the state after it.

        Args:
            x: token numbers, (B, T); 0 at the start of a text.
            targets: the next tokens, (B, T); 0 for none.
            state: the detached state after the previous chunk; None at the start.
            resets: True to reset a row's state before the step, (B, T); None for no resets.
        """
        hidden, new_state = self.read(x, state, resets)
        spec, training = self.spec, self.training
        dropped = _locked(hidden, spec.output_dropout, training)
        flat = targets.reshape(-1)
        nats = self.head(dropped.flatten(0, 1), flat)
        loss = nats.sum() / (flat != PADDING).sum().clamp(min=1)
        if training and spec.activation_regularisation:
            loss = loss + spec.activation_regularisation * dropped.square().mean()
        if training and spec.temporal_regularisation and hidden.shape[1] > 1:
            change = hidden[:, 1:] - hidden[:, :-1]
            if resets is not None:
                change = change.masked_fill(resets[:, 1:, None], 0.0)  # from one document to the next
            loss = loss + spec.temporal_regularisation * change.square().mean()
        return LanguageOutput(loss, nats.detach().view_as(targets), new_state, hidden)

    def read(
        self, x: Tensor, state: LanguageState | None = None, resets: Tensor | None = None
    ) -> tuple[Tensor, LanguageState]:
        """Return the outputs of the last layer (B, T, O) and the state after them."""
        if state is None:
            state = self.initial_state(x.shape[0], device=x.device)
        if resets is not None and not bool(resets.any()):
            resets = None
        encoded, seen = self.encode(x, state, resets)
        if resets is None:
            hidden, layers = self._recur(encoded, state.layers, None)
            return hidden, seen._replace(layers=layers)
        cut = Segments.of(resets)
        begin = self.initial_state(len(cut.lengths), device=x.device).layers
        begun = tuple(cut.begin(*pair) for pair in zip(state.layers, begin, strict=True))
        if int(cut.lengths.min()) == x.shape[1]:  # borders at the first step only
            hidden, layers = self._recur(encoded, begun, None)
            return hidden, seen._replace(layers=layers)
        out, ends = self._recur(cut.split(encoded), begun, cut.lengths)
        return cut.join(out), seen._replace(layers=tuple(cut.end(layer) for layer in ends))

    def initial_state(self, batch_size: int, *, device: torch.device | None = None) -> LanguageState:
        """Return the initial state."""
        if self.ngram_embedding is None:
            last_ids = torch.zeros(batch_size, 0, dtype=torch.int64, device=device)
        else:
            last_ids = self.ngram_embedding.initial_state(batch_size, device=device)
        recall = () if self.recall is None else tuple(self.recall.initial_state(batch_size, device=device))
        layers = tuple(layer.initial_state(batch_size, device=device) for layer in self.recurrent_layers())
        return LanguageState(last_ids, recall, layers)

    def numbering(self) -> dict[str, str]:
        """Return what numbers the rows of weights: the vocabulary, or the runs of tokens in a buffer."""
        names = [name for name, _ in self.named_parameters()]
        numbers = {name: "features" for name in names if name.startswith(("embedding.", "head."))}
        orders = self.spec.ngrams or ()
        tables = [name for name in names if name.startswith("ngram_embedding.")]
        return {**numbers, **{name: f"ngram_embedding.runs_{n}" for name, n in zip(tables, orders, strict=True)}}

    def start_bias(self, counts: Tensor) -> None:
        """Initialize the output bias with the frequency of each token, from counts (V,) plus one."""
        self.head.start(torch.log((counts.double() + 1) / (counts.sum() + len(counts))).float())

    def recurrent_layers(self) -> list[Layer | TransformerLayer]:
        """Return the layers, from the input on."""
        return [layer for layer in self.layers if isinstance(layer, Layer | TransformerLayer)]

    def encode(self, x: Tensor, state: LanguageState, resets: Tensor | None = None) -> tuple[Tensor, LanguageState]:
        """Return the input of the first layer (B, T, E') for token numbers (B, T), and the state after these tokens."""
        encoded: Tensor = self.embedding(x)
        last_ids, recall = state.before, state.recall
        if self.ngram_embedding is not None:
            runs, last_ids = self.ngram_embedding(x, last_ids, resets)
            encoded = encoded + runs
        if self.recall is not None:
            followers, new_recall = self.recall(x, RecallState(*recall), resets)
            encoded = torch.cat([encoded, self.embedding(followers).flatten(2)], dim=-1)
            recall = tuple(new_recall)
        return _locked(encoded, self.spec.input_dropout, self.training), LanguageState(last_ids, recall, state.layers)

    def _recur(self, x: Tensor, state: tuple[State, ...], lengths: Tensor | None) -> tuple[Tensor, tuple[State, ...]]:
        spec, new_states = self.spec, []
        for index, (layer, layer_state) in enumerate(zip(self.recurrent_layers(), state, strict=True)):
            if self.training and spec.recurrent_dropout:
                layer_state = (*layer_state[:-1], layer.initial_state(len(x), device=x.device)[-1])
            out, new = layer.run(x, layer_state, lengths, self._dropped(index, layer))
            new_states.append(new)
            x = self.join(index, x, out)
            if index + 1 < spec.num_layers:
                x = _locked(x, spec.dropout, self.training)
        return x, tuple(new_states)

    def _dropped(self, index: int, layer: Layer | TransformerLayer) -> dict[str, Tensor]:
        """Return name -> recurrent weight of a layer after weight dropout; empty without it."""
        chance = self.spec.weight_dropout
        if not (self.training and chance):
            return {}
        return {name: functional.dropout(layer.get_parameter(name), chance) for name in self._to_drop[index]}

    def join(self, index: int, x: Tensor, out: Tensor) -> Tensor:
        """Return the output of a layer from its input and its cell's output, for one step or for all."""
        if self.spec.norm:
            out = self.norms[index](out)
        return out + x if self.spec.residual and index > 0 else out


def detach(state: LanguageState) -> LanguageState:
    """Return the state detached from the autograd graph."""
    cut: LanguageState = _pytree.tree_map(lambda tensor: tensor.detach(), state)
    return cut


def build_language(spec: LanguageSpec, *, seed: int | None = None) -> LanguageNetwork:
    """Return a new network of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.
    """
    with making(seed):
        return LanguageNetwork(spec)


def _head(spec: LanguageSpec, size: int, embedding: Embedding | None) -> FullSoftmax | SampledSoftmax | AdaptiveSoftmax:
    if spec.softmax == "adaptive":
        return AdaptiveSoftmax(size, spec.vocabulary_size, embedding, cutoffs=spec.cutoffs)
    if spec.softmax == "sampled":
        return SampledSoftmax(size, spec.vocabulary_size, embedding, samples=spec.samples)
    return FullSoftmax(size, spec.vocabulary_size, embedding)


def _layer(spec: LanguageSpec, input_size: int, *, last: bool) -> Layer | TransformerLayer:
    if spec.cell == TRANSFORMER:
        return TransformerLayer(input_size, spec.hidden_size, causal=True, last=last)
    return Layer(make_spec_cell(spec, input_size), checkpoint_steps=spec.checkpoint_steps)


def _recurrent_weights(layer: Layer | TransformerLayer) -> list[str]:
    return [name for name, _ in layer.named_parameters() if name.endswith("weight_hh")]


def _locked(x: Tensor, chance: float, training: bool) -> Tensor:
    """Return steps (B, T, D) after dropout of features for whole rows, in training."""
    if not training or not chance:
        return x
    return x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), chance)
