"""Where the embedding starts: at what counting alone says of each token.

Axes: V vocabulary, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rekur._ids import PADDING
from rekur.data import EncodedItems


@torch.no_grad()
def bayes_start(weight: Tensor, train_set: EncodedItems, tokens: int, classes: int, scale: float) -> None:
    r"""Write the naive-Bayes log-count ratios of the training items into the first columns of an embedding.

    .. math:: r_{vk} = \log \frac{(n_{vk} + 1) / (N_k + 2)}{(n_v - n_{vk} + 1) / (N - N_k + 2)}

    with :math:`n_{vk}` the items of class k that hold token v, and :math:`N_k` the items of class k. One column a
    class, or one in all where there are two classes, up to half of the columns. The network starts with what a bag
    of words knows, and learns on from there.

    Args:
        weight: the embedding (V, E), changed in place; with fewer rows it is that of the first tokens.
        train_set: the items to train on, and only they; targets are class numbers (N,) or flags (N, K).
        tokens: size of the vocabulary V.
        classes: number of classes K.
        scale: times the ratios.

    Reference: Wang and Manning, Baselines and Bigrams, 2012, https://aclanthology.org/P12-2018.
    """
    ratios = log_count_ratios(train_set, tokens, classes)[: len(weight)]
    columns = ratios[:, 1:] if classes == 2 else ratios[:, : int(weight.shape[1]) // 2]
    weight[:, : columns.shape[1]] = scale * torch.from_numpy(columns).to(weight)


def log_count_ratios(train_set: EncodedItems, vocabulary_size: int, classes: int) -> NDArray[np.float64]:
    """Return the ratios (V, K); zero for padding."""
    counts = np.zeros((vocabulary_size, classes))
    sizes = np.zeros(classes)
    for row in train_set.rows:
        target: Any = train_set.targets[row]
        held = np.flatnonzero(target) if np.ndim(target) else np.array([target])
        sizes[held] += 1
        counts[np.ix_(np.unique(train_set.steps[row]), held)] += 1
    inside = (counts + 1) / (sizes + 2)
    outside = (counts.sum(axis=1, keepdims=True) - counts + 1) / (sizes.sum() - sizes + 2)
    ratios = np.asarray(np.log(inside / outside))
    ratios[PADDING] = 0.0
    return ratios
