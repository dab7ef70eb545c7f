"""Losses by themselves: values and gradients are autograd's, and the same bits on any number of threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from rekur.models import Batch, SeriesSpec, build_series
from rekur.models.heads import LabelHead
from rekur.models.side_by_side import Part, losses_of


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def weights(count: int = 3) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(4, generator=generator, dtype=torch.float64)) for _ in range(count)]


def exponentials(weight: Tensor) -> Tensor:
    return weight.exp().sum()


@pytest.mark.parametrize("threads", [1, 2])
def test_losses_and_gradients_are_those_of_autograd(threads: int) -> None:
    torch.set_num_threads(threads)
    each, unused = weights(), nn.Parameter(torch.zeros(2))
    parts = [Part([weight, unused], partial(exponentials, weight)) for weight in each[:1]]
    parts += [Part([weight], partial(exponentials, weight)) for weight in each[1:]]
    factors = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    losses = losses_of(parts)
    (losses * factors).sum().backward()  # type: ignore[no-untyped-call]
    for weight, loss, factor in zip(each, losses, factors, strict=True):
        torch.testing.assert_close(loss, weight.exp().sum())
        torch.testing.assert_close(weight.grad, factor * weight.detach().exp())
    assert unused.grad is None
    with torch.no_grad():
        assert not losses_of(parts).requires_grad


def test_an_error_of_a_part_is_raised() -> None:
    torch.set_num_threads(2)

    def fails() -> Tensor:
        raise ValueError("no loss")

    first, second = weights(2)
    with pytest.raises(ValueError, match="no loss"):
        losses_of([Part([first], fails), Part([second], second.sum)])


def trained(threads: int) -> tuple[float, list[Tensor]]:
    """Return the loss and the gradients of a step of three members."""
    torch.set_num_threads(1)
    spec = SeriesSpec(input_size=1, output_size=2, channels=8, hidden_size=4, members=3, joint="softmax")
    model = build_series(spec, seed=0).train()
    model.criterion = LabelHead(2)
    torch.manual_seed(0)
    steps, lengths = torch.randn(12, 30, 1), torch.tensor([30, 12, 30, 7] * 3)
    batch = Batch.of(steps, lengths, torch.arange(12) % 2)._replace(members=torch.arange(12) % 3)
    torch.set_num_threads(threads)
    _, loss = model(batch)
    assert loss is not None
    loss.backward()
    return loss.item(), [weight.grad for weight in model.parameters() if weight.grad is not None]


def test_members_learn_the_same_bits_on_any_number_of_threads() -> None:
    loss, gradients = trained(1)
    for threads in (2, 3):
        again, others = trained(threads)
        assert again == loss
        assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
        assert torch.get_num_threads() == threads


def _in_child(queue: multiprocessing.Queue[float]) -> None:
    first, second = weights(2)
    queue.put(losses_of([Part([first], first.sum), Part([second], second.sum)]).sum().item())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own() -> None:
    torch.set_num_threads(2)
    first, second = weights(2)
    expected = losses_of([Part([first], first.sum), Part([second], second.sum)]).sum().item()
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[float] = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join()
