"""The model from a sequence to one vector of scores, built from its specification.

Axes: B batch, T time, D input features, E embedding, O outputs of the recurrent stack, K scores.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur._ids import UNKNOWN
from rekur.models.batch import Batch, ItemNetwork, numbers_of_ends
from rekur.models.encoder import FixedVectors, make_stack
from rekur.models.making import making
from rekur.models.spec import SequenceSpec
from rekur.nn import Embedding, NGramEmbedding, make_pool
from rekur.program.cells import TRANSFORMER

_EMBEDDINGS = (nn.Embedding, Embedding, NGramEmbedding)


class VectorEmbedding(nn.Module):
    """A learned vector for the ids of training, joined with a vector for every id that training does not change.

    Other ids read the learned vector of unknown tokens (id 1), and so does a part of all in training.

    Args:
        vocabulary_size: number V of ids.
        trained_size: number K of ids that training has, the first ones.
        size: features E of a learned vector.
        vector_size: features P of a vector that training does not change.
        token_dropout: probability in training that the learned vector is that of unknown tokens; in [0, 1).

    Example:
        >>> embedding = VectorEmbedding(5, 3, 4, 2)
        >>> embedding(torch.tensor([[2, 4, 0]])).shape
        torch.Size([1, 3, 6])
    """

    def __init__(
        self, vocabulary_size: int, trained_size: int, size: int, vector_size: int, *, token_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.words = Embedding(trained_size, size, token_dropout=token_dropout)
        self.vectors = FixedVectors(vocabulary_size, vector_size)
        self.output_size = size + vector_size

    @property
    def weight(self) -> nn.Parameter:
        """The learned vectors (K, E)."""
        return self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (…, E + P) of token ids (…)."""
        learned = self.words(ids.masked_fill(ids >= self.words.vocabulary_size, UNKNOWN))
        return torch.cat([learned, self.vectors(ids)], dim=-1)


class SequenceModel(ItemNetwork):
    r"""Embed (or add noise), recur, pool, score.

    .. math:: z = W\,\mathrm{dropout}(\mathrm{pool}(\mathrm{recur}(\mathrm{embed}(x)))) + b

    Args:
        spec: the specification.

    Example:
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, cell="gru", hidden_size=8)
        >>> outputs, loss = SequenceModel(spec)(Batch.of(torch.tensor([[4, 5, 0]]), torch.tensor([2])))
        >>> outputs.shape, loss
        (torch.Size([1, 3]), None)
    """

    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embedding = _embedding(spec)
        width = spec.input_size if self.embedding is None else self.embedding.output_size
        self.conv, self.recurrent = make_stack(spec, width)
        self.pool = make_pool(spec.pooling, self.recurrent.output_size, bidirectional=self.recurrent.bidirectional)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(self.pool.output_size, spec.output_size)

    def outputs(self, batch: Batch) -> Tensor:
        """Return the scores (B, K) of token numbers (B, T) or rows of numbers (B, T, D) of lengths (B,)."""
        encoded = self.encode(batch.steps)
        if self.conv is not None:
            encoded = functional.relu(self.conv(encoded))
        output = self.recurrent(encoded, lengths=batch.lengths).output
        scores: Tensor = self.head(self.dropout(self.pool(output, batch.lengths)))
        return scores

    def encode(self, x: Tensor) -> Tensor:
        """Return the input of the recurrent stack, (B, T, E); in training with dropout of tokens and features."""
        spec, training = self.spec, self.training
        if self.embedding is not None:
            encoded: Tensor = self.embedding(x)
        else:
            encoded = x
            if training and spec.input_noise:
                encoded = encoded + spec.input_noise * torch.randn_like(encoded)
        if training and spec.input_dropout:
            keep = 1.0 - spec.input_dropout
            mask = encoded.new_empty(encoded.shape[0], 1, encoded.shape[2]).bernoulli_(keep)
            encoded = encoded * mask / keep
        return encoded

    def numbering(self) -> dict[str, str]:
        """Return the weights that read the steps, and those that give the scores."""
        first = "recurrent.layers.0." if self.conv is None else "conv."
        return numbers_of_ends(self, first if self.embedding is None else "embedding.")

    @property
    def streams(self) -> bool:
        """True if no step needs a later one, so that the model can run live."""
        return not self.spec.bidirectional and self.spec.cell != TRANSFORMER


def _embedding(spec: SequenceSpec) -> Embedding | VectorEmbedding | None:
    """Return the embedding of a specification; None where a step is a row of numbers."""
    if not spec.discrete:
        return None
    if not spec.vector_size:
        return Embedding(spec.input_size, spec.embedding_size, token_dropout=spec.token_dropout)
    sizes = (spec.input_size, spec.trained_size, spec.embedding_size, spec.vector_size)
    return VectorEmbedding(*sizes, token_dropout=spec.token_dropout)


def build(spec: SequenceSpec, *, seed: int | None = None) -> SequenceModel:
    """Return a new model of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.

    Example:
        >>> spec = SequenceSpec(discrete=False, input_size=4, output_size=2, cell="lstm", hidden_size=8)
        >>> count_parameters(build(spec, seed=0))
        466
    """
    with making(seed):
        return SequenceModel(spec)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_core(model: nn.Module) -> int:
    """Return the number of trained weights outside embeddings and the output layer, by which models are compared.

    Example:
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, hidden_size=8, cell="rnn")
        >>> count_core(SequenceModel(spec))
        1104
    """
    apart = {
        id(weight)
        for name, module in model.named_modules()
        if isinstance(module, _EMBEDDINGS) or name.rpartition(".")[2] == "head"
        for weight in module.parameters()
    }
    return sum(w.numel() for w in model.parameters() if w.requires_grad and id(w) not in apart)
