"""Embeddings: a vector for each token id, zeros for padding.

Axes: B batch, T time, V vocabulary, E embedding features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur._ids import PADDING, UNKNOWN
from rekur.errors import InputError, describe


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

    def extra_repr(self) -> str:
        values = {"token_dropout": self.token_dropout, "row_dropout": self.row_dropout}
        options = "".join(f", {name}={value}" for name, value in values.items() if value)
        return f"{self.vocabulary_size}, {self.size}{options}"
