"""What followed a run of tokens is found again: in chunks as in one, at borders of documents, and in a program.

Axes: B batch, T time, J lengths of runs.
"""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.profiles import draws
from torch import Tensor

import rekur.nn.recall as recall_module
from rekur._kernels import kernels
from rekur.errors import InputError
from rekur.lower import lower
from rekur.models import LanguageSpec, build_language
from rekur.nn import Recall
from rekur.nn.ngram import run_keys
from rekur.program import Engine

ORDERS = st.lists(st.integers(2, 6), min_size=1, max_size=3, unique=True).map(tuple)


def by_hand(ids: Tensor, orders: tuple[int, ...], resets: Tensor) -> Tensor:
    """Return what followed each run last (B, T, J), from dictionaries of all runs."""
    found = torch.zeros(*ids.shape, len(orders), dtype=torch.int64)
    for row in range(len(ids)):
        seen: list[int] = [0] * 16
        followed: list[dict[tuple[int, ...], int]] = [{} for _ in orders]
        for step in range(ids.shape[1]):
            if resets[row, step]:
                seen, followed = [0] * 16, [{} for _ in orders]
            token = int(ids[row, step])
            for place, order in enumerate(orders):
                followed[place][tuple(seen[-order:])] = token
            seen.append(token)
            for place, order in enumerate(orders):
                found[row, step, place] = followed[place].get(tuple(seen[-order:]), 0)
    return found


@pytest.mark.parametrize("compiled", [True, False])
@draws(60)
@given(
    orders=ORDERS,
    batch=st.integers(1, 3),
    steps=st.integers(1, 60),
    tokens=st.integers(1, 4),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    border=st.sampled_from([0.0, 0.05, 0.3]),
    seed=st.integers(0, 2**31),
)
def test_it_finds_what_dictionaries_find(
    compiled: bool,
    orders: tuple[int, ...],
    batch: int,
    steps: int,
    tokens: int,
    cuts: list[int],
    border: float,
    seed: int,
) -> None:
    if compiled and kernels is None:
        pytest.skip("the kernels are not installed")
    draw = np.random.default_rng(seed)
    ids = torch.from_numpy(draw.integers(1, tokens + 1, (batch, steps)))
    resets = torch.from_numpy(draw.random((batch, steps)) < border)
    recall = Recall(orders=orders, slots=2**16)
    state, parts = recall.initial_state(batch), []
    keys = run_keys(ids, state.before, orders, resets)[0]
    assume(all(len(recall.slot(key).unique()) == len(key.unique()) for key in keys.values()))  # no run replaces another
    edges = sorted({0, steps, *(cut for cut in cuts if cut < steps)})
    with nullcontext() if compiled else mock.patch.object(recall_module, "kernels", None):
        for start, end in itertools.pairwise(edges):
            found, state = recall(ids[:, start:end], state, resets[:, start:end] if border else None)
            parts.append(found)
    assert torch.equal(torch.cat(parts, 1), by_hand(ids, orders, resets))


@draws(40)
@given(
    orders=ORDERS,
    slots=st.sampled_from([2, 16, 4096]),
    batch=st.integers(0, 3),
    steps=st.integers(0, 40),
    border=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_the_kernel_gives_what_torch_gives(
    orders: tuple[int, ...], slots: int, batch: int, steps: int, border: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    recall = Recall(orders=orders, slots=slots)
    ids = torch.from_numpy(draw.integers(1, 5, (steps, batch))).T  # not contiguous
    resets = torch.from_numpy(draw.random((steps, batch)) < border).T if border else None
    state = recall(torch.from_numpy(draw.integers(1, 5, (batch, 30))), recall.initial_state(batch))[1]
    found, new = recall(ids, state, resets)
    with mock.patch.object(recall_module, "kernels", None):
        wanted, wanted_new = recall(ids, state, resets)
    assert torch.equal(found, wanted)
    assert torch.equal(new.before, wanted_new.before)
    assert torch.equal(new.memory, wanted_new.memory)


@draws(30)
@given(orders=ORDERS, slots=st.sampled_from([2, 16, 4096]), tokens=st.integers(2, 12), seed=st.integers(0, 2**31))
def test_a_program_recalls_what_the_network_does(orders: tuple[int, ...], slots: int, tokens: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    spec: dict[str, Any] = {"vocabulary_size": 15, "hidden_size": 6, "embedding_size": 4}
    network = build_language(LanguageSpec(**spec, recall=orders, recall_slots=slots), seed=0).eval()
    engine = Engine(*lower(network))
    sequences = [draw.integers(1, tokens + 1, length) for length in (40, 1, 7, 23)]
    with torch.no_grad():
        wanted = [network.head.log_probabilities(network.read(torch.from_numpy(x[None]))[0])[0, -1] for x in sequences]
    found = torch.from_numpy(engine.run(sequences)).log_softmax(-1)
    torch.testing.assert_close(found[:, 1:], torch.stack(wanted)[:, 1:], atol=1e-5, rtol=1e-5)
    many = engine.many()
    state = many.initial_state(2)
    for step in range(23):
        state = many.step(np.array([sequences[0][step], sequences[3][step]]), state)
    np.testing.assert_allclose(many.read(state)[1, 1:], engine.run(sequences)[3, 1:], atol=1e-5)


def test_the_same_slot_is_not_the_same_run() -> None:
    recall = Recall(orders=(2,), slots=2)
    state = recall.initial_state(1)
    ids = torch.randint(1, 1000, (1, 400), generator=torch.Generator().manual_seed(0))
    found, state = recall(ids, state)
    assert not found.any(), "no run of two comes twice, though the two slots are written again and again"
    again, _ = recall(ids[:, -2:-1], recall.initial_state(1)._replace(memory=state.memory, before=ids[:, -4:-2]))
    assert again.shape == (1, 1, 1)


def test_gradients_reach_the_vectors_of_what_is_recalled() -> None:
    spec = LanguageSpec(vocabulary_size=9, hidden_size=6, embedding_size=4, recall=(2,), recall_slots=16)
    network = build_language(spec, seed=0).double()
    x = torch.tensor([[3, 4, 5, 3, 4]])
    found, _ = network.recall(x, network.recall.initial_state(1))  # type: ignore[misc]
    assert found[0, :, 0].tolist() == [0, 0, 0, 0, 5]

    def loss(rest: Tensor) -> Tensor:
        table = torch.cat([rest.new_zeros(1, 4), rest])  # that of nothing, as that of padding, is zeros for good
        return torch.func.functional_call(network, {"embedding.weight": table}, (x, x)).loss  # type: ignore[no-any-return]

    torch.autograd.gradcheck(loss, network.embedding.weight[1:].detach().requires_grad_())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"recall": (1,)}, "recall: got 1; expected a whole number in [2, 16]."),
        ({"recall": (2, 2)}, "recall: got (2, 2); expected lengths that differ."),
        ({"ngrams": (3, 3), "ngram_rows": (2, 2)}, "ngrams: got (3, 3); expected lengths that differ."),
        ({"recall_slots": 3}, "recall_slots: got 3; expected a power of 2. Take 4."),
        ({"recall_slots": 1}, "recall_slots: got 1; expected a whole number in [2, 1048576]."),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        build_language(LanguageSpec(**{"vocabulary_size": 9, "recall": (2,), **change}))
    assert str(caught.value) == text
