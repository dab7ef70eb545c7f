"""What holds for a language network over every cell and every output layer: chunks, steps, documents, gradients.

Axes: B batch, T time, O outputs, V vocabulary.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws
from tests.stepped import language_step
from torch import Tensor
from torch.utils import _pytree

from rekur.cells import CELLS
from rekur.models import LanguageNetwork, LanguageSpec, LanguageState, build_language
from rekur.models.language import detach
from rekur.nn.ngram import frequent_runs

torch.set_num_threads(1)
V = 12
WITH_PRODUCT = [name for name in CELLS if name not in ("mingru", "minlstm", "rglru", "mlstm")]


def make(cell: str, **options: Any) -> LanguageNetwork:
    """Return a network in float64 and in evaluation; with ngrams it knows the most frequent runs of some text."""
    runs: tuple[Tensor, ...] = ()
    if options.pop("runs", False):
        text = torch.randint(1, 4, (200,), generator=torch.Generator().manual_seed(0))
        runs = frequent_runs(text, torch.tensor([0]), (2, 3), min_count=2, most=20)
        options |= {"ngrams": (2, 3), "ngram_rows": tuple(len(found) + 1 for found in runs)}
    given = {"num_layers": 2, "hidden_size": 4, "embedding_size": 4, **options}
    network = build_language(LanguageSpec(vocabulary_size=V, cell=cell, **given), seed=1).double().eval()
    if network.ngram_embedding is not None:
        network.ngram_embedding.know(runs)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "bias" in name:
                parameter.normal_(std=0.3, generator=generator)
    return network


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    softmax = draw(st.sampled_from(["full", "adaptive", "sampled"]))
    return {
        "softmax": softmax,
        "cutoffs": (4, 9) if softmax == "adaptive" else (),
        "samples": draw(st.sampled_from([3, V])),
        "tied": draw(st.booleans()),
        "embedding_size": draw(st.sampled_from([4, 3])),
        "norm": draw(st.booleans()),
        "residual": draw(st.booleans()),
        "runs": draw(st.booleans()),
        "recall": draw(st.sampled_from([(), (2,), (2, 3)])),
        "recall_slots": draw(st.sampled_from([4, 4096])),
    }


def tokens(rows: int, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets with some places without a target."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(1, V, (rows, steps + 1), generator=generator)
    few = torch.randint(1, 4, (rows, steps + 1), generator=generator)
    text = torch.where(torch.rand(text.shape, generator=generator) < 0.5, few, text)
    x, targets = text[:, :-1].clone(), text[:, 1:].clone()
    x[:, 0] = 0
    targets[torch.rand(targets.shape, generator=generator) < 0.2] = 0
    return x, targets


def borders(rows: int, steps: int, seed: int) -> Tensor:
    return torch.rand(rows, steps, generator=torch.Generator().manual_seed(seed)) < 0.3


def assert_same(first: Any, second: Any) -> None:
    for a, b in zip(_pytree.tree_leaves(first), _pytree.tree_leaves(second), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def gradients(network: LanguageNetwork, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True))


seeds = st.integers(0, 1000)


@pytest.mark.parametrize("cell", CELLS)
@draws(3)
@given(options=options(), seed=seeds, cuts=st.sets(st.integers(1, 8)), reset=st.booleans())
def test_chunks_with_the_state_carried_are_the_whole(
    cell: str, options: dict[str, Any], seed: int, cuts: set[int], reset: bool
) -> None:
    network = make(cell, **options)
    x, targets = tokens(3, 9, seed)
    resets = borders(3, 9, seed) if reset else None
    whole = network(x, targets, None, resets)
    state, nats, total = None, [], torch.zeros((), dtype=torch.float64)
    for start, end in pairwise([0, *sorted(cuts), 9]):
        part = None if resets is None else resets[:, start:end]
        out = network(x[:, start:end], targets[:, start:end], state, part)
        state = out.state
        nats.append(out.nats)
        total = total + out.loss * (targets[:, start:end] != 0).sum()
    assert_same(torch.cat(nats, 1), whole.nats)
    assert_same(state, whole.state)
    # and with the state not cut off, so is the gradient
    assert_same(gradients(network, total / (targets != 0).sum()), gradients(network, whole.loss))


@pytest.mark.parametrize("cell", CELLS)
@draws(3)
@given(options=options(), seed=seeds)
def test_one_chunk_has_the_gradient_of_all_steps_one_after_the_other(
    cell: str, options: dict[str, Any], seed: int
) -> None:
    network = make(cell, **options)
    x, targets = tokens(3, 7, seed)
    state, loss = network.initial_state(3), torch.zeros((), dtype=torch.float64)
    for t in range(7):
        scores, state = language_step(network, x[:, t], state)
        chosen = torch.log_softmax(scores, -1).gather(1, targets[:, t, None]).squeeze(1)
        loss = loss - torch.where(targets[:, t] != 0, chosen, torch.zeros_like(chosen)).sum()
    out = network(x, targets)
    loss = loss / (targets != 0).sum()
    assert_same(out.loss, loss)
    assert_same(out.state, state)
    assert_same(gradients(network, out.loss), gradients(network, loss))


@pytest.mark.parametrize("cell", CELLS)
@draws(3)
@given(options=options(), seed=seeds, dropped=st.booleans())
def test_steps_give_the_distribution_of_the_whole(cell: str, options: dict[str, Any], seed: int, dropped: bool) -> None:
    if dropped and cell in WITH_PRODUCT:
        options["recurrent_dropout"] = 0.5
    network = make(cell, **options)
    x, targets = tokens(3, 6, seed)
    whole = network(x, targets)
    every = network.head.log_probabilities(whole.hidden)
    assert_same(every.exp().sum(-1), torch.ones(3, 6, dtype=torch.float64))
    assert (every[..., 0] == -torch.inf).all()
    chosen = -every.gather(2, targets[..., None]).squeeze(2)
    assert_same(torch.where(targets != 0, chosen, torch.zeros_like(chosen)), whole.nats)
    state = network.initial_state(3)
    for t in range(6):
        scores, state = language_step(network, x[:, t], state)
        assert_same(torch.log_softmax(scores, -1), every[:, t])
    assert_same(state, whole.state)


@pytest.mark.parametrize("cell", CELLS)
@draws(3)
@given(options=options(), seed=seeds, mode=st.sampled_from(["any", "first", "every"]))
def test_documents_inside_a_chunk_are_documents_alone(cell: str, options: dict[str, Any], seed: int, mode: str) -> None:
    network = make(cell, **options)
    x, targets = tokens(3, 8, seed)
    targets[:, 0] = 2
    resets = borders(3, 8, seed)
    if mode == "first":
        resets[:, 1:] = False
    elif mode == "every":
        resets[:] = True
    carried = detach(network(*tokens(3, 4, seed + 1)).state)
    together = network(x, targets, carried, resets)
    nats, total = torch.zeros(3, 8, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    ends: list[LanguageState] = []
    for row in range(3):
        starts = sorted({0, *resets[row].nonzero().flatten().tolist()})
        for start, end in zip(starts, [*starts[1:], 8], strict=True):
            state = None if resets[row, start] else _pytree.tree_map(lambda tensor, at=row: tensor[[at]], carried)
            alone = network(x[row : row + 1, start:end], targets[row : row + 1, start:end], state)
            nats[row, start:end] = alone.nats[0]
            total = total + alone.loss * (targets[row, start:end] != 0).sum()
        ends.append(alone.state)
    assert_same(together.nats, nats)
    assert_same(together.state, _pytree.tree_map(lambda *parts: torch.cat(parts), *ends))
    first = gradients(network, together.loss)
    assert_same(first, gradients(network, total / (targets != 0).sum()))


@pytest.mark.parametrize("cell", CELLS)
@draws(3)
@given(options=options(), seed=seeds, steps=st.integers(1, 9), reset=st.booleans())
def test_computing_twice_changes_nothing_but_memory(
    cell: str, options: dict[str, Any], seed: int, steps: int, reset: bool
) -> None:
    dropouts = ("row_dropout", "input_dropout", "dropout", "output_dropout")
    options |= dict.fromkeys(dropouts, 0.3)
    if cell in WITH_PRODUCT:
        options |= {"recurrent_dropout": 0.3, "weight_dropout": 0.3}
    options |= {"activation_regularisation": 2.0, "temporal_regularisation": 1.0}
    x, targets = tokens(3, 9, seed)
    resets = borders(3, 9, seed) if reset else None
    found = []
    for checkpoint_steps in (0, steps):
        network = make(cell, checkpoint_steps=checkpoint_steps, **options).train()
        torch.manual_seed(seed)
        out = network(x, targets, None, resets)
        found.append((out.loss, out.nats, out.state, gradients(network, out.loss)))
    assert_same(*found)


@pytest.mark.parametrize("cell", CELLS)
@draws(3)
@given(options=options(), seed=seeds)
def test_what_is_not_to_be_predicted_counts_nothing(cell: str, options: dict[str, Any], seed: int) -> None:
    network = make(cell, **{**options, "samples": V}).train()
    x, targets = tokens(2, 6, seed)
    targets[:, 3:] = 0
    targets[0, 0] = 5
    long, more = network(x, targets), tokens(1, 6, seed + 1)[0]
    short = network(x[:, :3], targets[:, :3])
    wide = network(torch.cat([x, more]), torch.cat([targets, torch.zeros_like(more)]))
    assert (long.nats[targets == 0] == 0).all()
    wanted = gradients(network, long.loss)
    for other in (short, wide):
        assert_same(other.loss, long.loss)
        assert_same(gradients(network, other.loss), wanted)
    nothing = network(x, torch.zeros_like(targets))
    assert nothing.loss.item() == 0.0
    assert all((part == 0).all() for part in gradients(network, nothing.loss))
    named = dict(zip(dict(network.named_parameters()), wanted, strict=True))
    assert (named["embedding.weight"][0] == 0).all()
    assert (named["embedding.weight"] != 0).any()
