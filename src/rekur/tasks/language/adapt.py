"""Evaluation that learns while it reads: dynamic evaluation, and a cache of what was read.

Axes: T tokens, O outputs of the recurrent stack, W window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree

from rekur import _check
from rekur._ids import PADDING
from rekur.data import evaluation_chunks
from rekur.errors import DivergedError, describe

#: tokens that are read at once where nothing is learned
_CHUNK = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class DynamicEvaluation:
    r"""Every few tokens, once they are predicted, the weights take a step towards them, and one back home.

    .. math::
        v &\leftarrow \beta v + (1 - \beta)\, g^2, \qquad
        w \leftarrow w - \eta \frac{g}{\sqrt{v} + \epsilon} + \lambda (w_0 - w)

    g is the gradient of the mean loss of the last tokens, :math:`w_0` are the trained weights. v is taken from what
    was read so far, without its bias towards zero; with ``rule="sgd"`` the step is :math:`\eta g`. A row of a weight
    that had no part in the loss, such as the vector of a token that did not occur, rests.

    Args:
        learning_rate: η, 0 or more; 0 learns nothing.
        decay: λ, in [0, 1]: the share of the way back to the trained weights.
        steps: tokens between two updates, 1 or more; the gradient goes back as far.
        rule: ``rms`` or ``sgd``.

    Raises:
        InputError: an option is out of range.

    Reference:
        Krause et al., Dynamic Evaluation of Neural Sequence Models, 2018; its gradient statistics are of the
        training data instead.
    """

    learning_rate: float = 1e-3
    decay: float = 0.005
    steps: int = 20
    rule: str = "rms"

    def __post_init__(self) -> None:
        _check.number("learning_rate", self.learning_rate, 0)
        _check.number("decay", self.decay, 0, 1)
        _check.whole("steps", self.steps, 1)
        _check.choice("rule", self.rule, ("rms", "sgd"))


@dataclass(frozen=True, kw_only=True, slots=True)
class NeuralCache:
    r"""What followed when the outputs were alike is expected again.

    .. math::
        p(w) = (1 - \lambda)\, p_\mathrm{model}(w) + \lambda\, p_\mathrm{cache}(w), \qquad
        p_\mathrm{cache}(w) \propto \sum_{i < t} [x_{i+1} = w]\, e^{\theta\, h_t^\top h_i}

    Args:
        window: W, how many of the last tokens are remembered, also across documents; 1 or more.
        theta: θ, how much alike outputs must be; 0 or more.
        share: λ, in [0, 1); 0 leaves the model as it is.

    Raises:
        InputError: an option is out of range.

    Reference:
        Grave et al., Improving Neural Language Models with a Continuous Cache, 2017.
    """

    window: int = 2000
    theta: float = 1.0
    share: float = 0.1

    def __post_init__(self) -> None:
        _check.whole("window", self.window, 1)
        _check.number("theta", self.theta, 0)
        _check.number("share", self.share, 0, 1, open_high=True)


class Adapted(NamedTuple):
    """The negative log-probability of a text.

    Attributes:
        nats: of all tokens together.
        tokens: how many there are.
        each: of every token in the order of the text, (N,).
    """

    nats: float
    tokens: int
    each: NDArray[np.float32]


def run_adapting(
    model: nn.Module,
    ids: NDArray[Any],
    starts: NDArray[np.int64],
    *,
    reset: bool,
    dynamic: DynamicEvaluation | None = None,
    cache: NeuralCache | None = None,
) -> Adapted:
    """Return the negative log-probability of every token, each predicted before anything is learned from it.

    The weights are bit for bit as before when it returns, or fails. The model is left in evaluation mode.

    Args:
        model: takes what :class:`rekur.models.LanguageNetwork` takes, and gives ``nats`` and ``hidden``.
        ids: the tokens, (N,).
        starts: where each document begins.
        reset: whether the state begins anew with each document; what was learned and cached does not.
        dynamic: how the weights follow the text; None for not at all.
        cache: how what was read is remembered; None for not at all.

    Raises:
        DivergedError: the learning rate is too high for this model.
    """
    model.eval()
    learns = dynamic is not None and dynamic.learning_rate > 0
    device = next(model.parameters()).device
    each = np.zeros(len(ids), dtype=np.float32)
    memory = None if cache is None or cache.share == 0 else _Memory(cache)
    state = None
    with torch.inference_mode(False), _kept(model), torch.set_grad_enabled(learns):
        learner = _Learner(model, dynamic) if dynamic is not None and learns else None
        steps = _CHUNK if learner is None else learner.how.steps
        for chunk in evaluation_chunks(ids, starts, reset=reset, chunk_length=steps):
            x, targets = (torch.from_numpy(array).to(device) for array in (chunk.x, chunk.targets))
            resets = None if chunk.resets is None else torch.from_numpy(chunk.resets).to(device)
            out = model(x, targets, state, resets)
            nats, counted = out.nats.detach().float(), chunk.targets != PADDING
            if memory is not None:
                nats = memory.mixed(nats[0], out.hidden[0].detach().float(), targets[0])[None]
            each[chunk.places[counted]] = nats.cpu().numpy()[counted]
            state = _pytree.tree_map(lambda leaf: leaf.detach(), out.state)
            if learner is not None:
                learner.learn(out.loss)
    return Adapted(float(each.sum(dtype=np.float64)), len(each), each)


class _Learner:
    """The weights on their way, and where they come from."""

    #: decay of the average of squared gradients, and the number added to its root
    BETA, EPSILON = 0.99, 1e-8

    def __init__(self, model: nn.Module, how: DynamicEvaluation) -> None:
        self.how = how
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        # the weights themselves, seen as rows
        self._moving = [weight.detach().view(len(weight) if weight.dim() else 1, -1) for weight in self._weights]
        self._home = [rows.clone() for rows in self._moving]
        self._squares = [torch.zeros_like(home) for home in self._home]
        self._updates = [home.new_zeros(len(home), 1) for home in self._home]

    def learn(self, loss: Tensor) -> None:
        """Take one step along the gradient of a loss."""
        if not bool(loss.detach().isfinite()):
            expected = "one with which the loss stays finite"
            raise DivergedError(describe("learning_rate", self.how.learning_rate, expected, "Take a lower one."))
        gradients = torch.autograd.grad(loss, self._weights, materialize_grads=True)
        for index, gradient in enumerate(gradients):
            self._follow(index, gradient.reshape(self._home[index].shape))

    def _follow(self, index: int, gradient: Tensor) -> None:
        """Move the rows of a weight that had part in the loss; of large tables of tokens these are few."""
        rows = gradient.any(1).nonzero()[:, 0]
        step = gradient[rows]
        if self.how.rule == "rms":
            squares, updates = self._squares[index], self._updates[index]
            updates[rows] += 1
            squares[rows] = torch.lerp(squares[rows], step.square(), 1 - self.BETA)
            step = step / ((squares[rows] / (1 - self.BETA ** updates[rows])).sqrt() + self.EPSILON)
        weight = self._moving[index]
        weight[rows] = weight[rows].lerp(self._home[index][rows], self.how.decay) - self.how.learning_rate * step


class _Memory:
    """The last outputs and what followed each of them."""

    def __init__(self, cache: NeuralCache) -> None:
        self._cache = cache
        self._outputs: Tensor | None = None
        self._followed: Tensor | None = None

    def mixed(self, nats: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the nats (T,) with the cache's share in them; afterwards it holds these tokens too.

        Args:
            nats: those of the model, (T,).
            outputs: what predicted each target, (T, O).
            targets: the tokens, (T,); 0 is padding.
        """
        real = targets != PADDING
        queries, tokens, nats_of_model = outputs[real], targets[real], nats[real]
        keys, values, first = queries, tokens, 0
        if self._outputs is not None and self._followed is not None:
            keys, values = torch.cat([self._outputs, queries]), torch.cat([self._followed, tokens])
            first = len(self._followed)
        window, share = self._cache.window, self._cache.share
        row = torch.arange(first, len(values), device=values.device)[:, None]
        column = torch.arange(len(values), device=values.device)[None]
        alike = self._cache.theta * (queries @ keys.T)
        alike = alike.masked_fill((column >= row) | (column < row - window), -math.inf)
        same_token = alike.masked_fill(values[None] != tokens[:, None], -math.inf)
        log_cached = torch.logsumexp(same_token, 1) - torch.logsumexp(alike, 1)
        mixed = -torch.logaddexp(math.log1p(-share) - nats_of_model, math.log(share) + log_cached)
        result = nats.clone()
        # the first token of all has nothing before it: the model predicts it alone
        result[real] = torch.where(row[:, 0] > 0, mixed, nats_of_model)
        self._outputs, self._followed = keys[-window:], values[-window:]
        return result


@contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Put the weights back afterwards, bit for bit."""
    copies = [(weight, weight.detach().clone()) for weight in model.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, copy in copies:
                weight.copy_(copy)
