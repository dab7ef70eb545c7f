"""Every head: the loss of training is the mean of its terms, and no constant output is better than its guess.

Axes: N items, K outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.profiles import draws

from rekur.data import Ragged
from rekur.models.heads import Head, LabelHead, NumberHead, StepsHead

Made = tuple[Head, int, NDArray[Any]]


def _label(draw: np.random.Generator, count: int, *, weighted: bool) -> Made:
    weight = draw.uniform(0.2, 3, 3) if weighted else None
    targets = np.concatenate([np.arange(3), draw.integers(0, 3, count)])
    return LabelHead(3, weight=weight), 3, targets


def _flags(draw: np.random.Generator, count: int, *, weighted: bool) -> Made:
    weight = draw.uniform(0.2, 3, 4) if weighted else None
    targets = (draw.random((count + 2, 4)) < 0.4).astype(np.float32)
    targets[:2] = [[0, 1, 0, 1], [1, 0, 1, 0]]
    return LabelHead(4, multi_label=True, weight=weight), 4, targets


def _number(draw: np.random.Generator, count: int, *, weighted: bool) -> Made:
    targets = draw.normal(0, 1, count + 2)
    return NumberHead(2.5), 1, ((targets - targets.mean()) / targets.std()).astype(np.float32)


each = pytest.mark.parametrize("make", [_label, _flags, _number])
cases = given(seed=st.integers(0, 2**31), count=st.integers(0, 30), weighted=st.booleans())


@each
@draws(25)
@cases
def test_the_loss_of_training_is_the_mean_of_the_terms(make: Any, seed: int, count: int, weighted: bool) -> None:
    draw = np.random.default_rng(seed)
    head, size, targets = make(draw, count, weighted=weighted)
    outputs = draw.normal(0, 3, (len(targets), size))
    terms = head.terms(outputs, targets)
    wide = torch.from_numpy(outputs).float()
    loss = float(head.loss(wide, torch.from_numpy(targets)))
    assert loss == pytest.approx(terms[:, 0].sum() / terms[:, 1].sum(), rel=1e-5, abs=1e-6)
    cut = seed % (len(targets) + 1)
    parts = [head.terms(outputs[part], targets[part]) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_allclose(np.concatenate(parts), terms, rtol=1e-12)
    assert head.shown(4.0) >= 0


@each
@draws(25)
@cases
def test_no_other_constant_output_is_better_than_the_guess(make: Any, seed: int, count: int, weighted: bool) -> None:
    draw = np.random.default_rng(seed)
    head, size, targets = make(draw, count, weighted=weighted)

    def mean_loss(constant: NDArray[Any]) -> float:
        terms = head.terms(np.broadcast_to(constant, (len(targets), size)), targets)
        return float(terms[:, 0].sum() / terms[:, 1].sum())

    guess = head.guess(targets)
    assert guess.shape == (size,)
    for step in 0.3 * draw.normal(0, 1, (6, size)):
        assert mean_loss(guess) <= mean_loss(guess + step) + 1e-9


def test_gradients_are_those_of_float64() -> None:
    draw = np.random.default_rng(0)
    for make in (_label, _flags, _number):
        head, size, targets = make(draw, 5, weighted=False)
        outputs = torch.from_numpy(draw.normal(0, 1, (len(targets), size))).requires_grad_()
        wanted = torch.from_numpy(targets if targets.dtype == np.int64 else targets.astype(np.float64))
        assert torch.autograd.gradcheck(lambda o, head=head, wanted=wanted: head.loss(o, wanted), (outputs,))


def test_smoothing_is_of_training_alone() -> None:
    head, outputs, targets = LabelHead(2, smoothing=0.2), np.array([[3.0, 0.0]]), np.array([0])
    smoothed = float(head.loss(torch.from_numpy(outputs), torch.from_numpy(targets)))
    plain = float(head.terms(outputs, targets)[0, 0])
    assert smoothed == pytest.approx(plain + 0.1 * 3.0, abs=1e-6)


@draws(25)
@given(seed=st.integers(0, 2**31), lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6), weighted=st.booleans())
def test_the_loss_of_steps_is_that_of_all_real_steps(seed: int, lengths: list[int], weighted: bool) -> None:
    draw = np.random.default_rng(seed)
    lengths[0] += 1
    weight = draw.uniform(0.2, 3, 3) if weighted else None
    single = LabelHead(3, weight=weight)
    head = StepsHead(single)
    targets = Ragged.from_iter([draw.integers(0, 3, length) for length in lengths])
    outputs = [draw.normal(0, 2, (length, 3)) for length in lengths]
    padded = np.full((len(lengths), max(lengths), 3), np.nan)  # padding must not enter the loss
    numbers = np.zeros(padded.shape[:2], np.int64)
    for item, length in enumerate(lengths):
        padded[item, :length], numbers[item, :length] = outputs[item], targets[item]
    terms = head.terms(outputs, targets)
    assert terms.shape == (len(lengths), 2)
    for item in range(len(lengths)):
        one = head.terms(outputs[item : item + 1], targets.take([item]))
        np.testing.assert_array_equal(one[0], terms[item])
    if weight is None:
        np.testing.assert_array_equal(terms[:, 1], lengths)
    packed = torch.from_numpy(np.concatenate(outputs)).float()
    wide, labels, sizes = torch.from_numpy(padded).float(), torch.from_numpy(numbers), torch.tensor(lengths)
    loss = head.loss(wide, labels, sizes)
    assert float(loss) == float(head.loss(packed, labels, sizes))
    assert float(loss) == float(single.loss(packed, torch.from_numpy(np.asarray(targets.values))))
    assert float(loss) == pytest.approx(terms[:, 0].sum() / terms[:, 1].sum(), rel=1e-5, abs=1e-6)
