"""Language networks: dropouts, regularisers, the fused layer with a carried state, what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tests.stepped import language_step

from rekur.cells import CELLS
from rekur.errors import InputError
from rekur.lower import step_function
from rekur.models import LanguageSpec, build_language
from rekur.models.language import detach
from rekur.scan import native
from rekur.scan import run as scan_run

V = 11
X = torch.tensor([[0, 5, 3, 7, 2], [0, 2, 2, 9, 10]])
TARGETS = torch.tensor([[5, 3, 7, 2, 4], [2, 2, 9, 10, 0]])


def spec(**options: Any) -> LanguageSpec:
    return LanguageSpec(**{"vocabulary_size": V, "hidden_size": 8, "embedding_size": 6, **options})


def test_a_specification_comes_back_from_json() -> None:
    made = spec(softmax="adaptive", cutoffs=(4, 8), ngrams=(2,), ngram_rows=(16,), tied=True)
    assert LanguageSpec.from_dict(made.to_dict()) == made
    a, b = build_language(made, seed=3), build_language(made, seed=3)
    assert all(torch.equal(first, second) for first, second in zip(a.parameters(), b.parameters(), strict=True))


def test_a_carried_state_and_dropped_weights_keep_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    choose = scan_run.choose

    def spy(*given: Any, **options: Any) -> Any:
        choice = choose(*given, **options)
        taken.append(choice.path)
        return choice

    monkeypatch.setattr(scan_run, "choose", spy)
    network = build_language(spec(weight_dropout=0.3, num_layers=2), seed=0)
    state = detach(network(X, TARGETS).state)
    network(X, TARGETS, state).loss.backward()
    assert set(taken) == {"native" if native.available() else "vendor"}
    assert len(taken) == 4
    plain = build_language(spec(num_layers=2), seed=0)
    whole = plain(X, TARGETS)
    halves = [plain(X[:, :2], TARGETS[:, :2])]
    halves.append(plain(X[:, 2:], TARGETS[:, 2:], halves[0].state))
    torch.testing.assert_close(torch.cat([half.nats for half in halves], 1), whole.nats)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_gradient_of_dropped_weights_reaches_those_that_are_kept_only(cell: str) -> None:
    network = build_language(spec(weight_dropout=0.5, cell=cell), seed=0)
    weight = network.get_parameter("layers.0.cell.weight_hh")
    before = weight.detach().clone()
    network(X, TARGETS).loss.backward()
    assert weight.grad is not None
    share = (weight.grad == 0).float().mean()
    assert 0.3 < share < 0.7
    assert torch.equal(weight, before)
    assert len(list(network.parameters())) == len(list(copy.deepcopy(network).parameters()))


@pytest.mark.parametrize(
    "name", ["row_dropout", "input_dropout", "dropout", "output_dropout", "weight_dropout", "recurrent_dropout"]
)
def test_each_dropout_acts_in_training_only(name: str) -> None:
    network = build_language(spec(num_layers=2, **{name: 0.5}), seed=0)
    torch.manual_seed(0)
    assert network(X, TARGETS).loss != network(X, TARGETS).loss
    network.eval()
    plain = build_language(spec(num_layers=2), seed=0)
    assert network(X, TARGETS).loss == plain(X, TARGETS).loss


def test_recurrent_dropout_draws_new_masks_for_each_chunk() -> None:
    network = build_language(spec(recurrent_dropout=0.5), seed=0)
    first = network(X, TARGETS).state
    second = network(X, TARGETS, detach(first)).state
    assert not torch.equal(first.layers[0][-1], second.layers[0][-1])


def test_regularisers_count_in_training_only() -> None:
    given = {"activation_regularisation": 2.0, "temporal_regularisation": 3.0}
    network, plain = build_language(spec(**given), seed=0), build_language(spec(), seed=0)
    resets = torch.tensor([[False, False, True, False, False], [True, False, False, False, False]])
    for borders in (None, resets):
        out = network(X, TARGETS, None, borders)
        change = out.hidden.diff(dim=1)
        if borders is not None:
            change[0, 1] = 0
        wanted = plain(X, TARGETS, None, borders).loss + 2 * out.hidden.square().mean() + 3 * change.square().mean()
        torch.testing.assert_close(out.loss, wanted)
    assert network.eval()(X, TARGETS).loss == plain(X, TARGETS).loss


@pytest.mark.parametrize("cell", CELLS)
def test_texts_side_by_side_step_like_their_network(cell: str) -> None:
    options = {"ngrams": (3,), "ngram_rows": (4,), "recall": (2,), "norm": True, "residual": True}
    network = build_language(spec(cell=cell, num_layers=2, tied=True, **options), seed=0).eval()
    steps = step_function(network)
    ours, theirs = steps.begin(2), network.initial_state(2)
    with torch.inference_mode():
        for ids in X.t():
            before = ours
            scores, ours = steps.step(ids.numpy(), ours)
            again, _ = steps.step(ids.numpy(), before)
            np.testing.assert_array_equal(again, scores, "a state that was given is not changed")
            wanted, theirs = language_step(network, ids, theirs)
            np.testing.assert_allclose(scores, wanted.numpy(), rtol=1e-4, atol=1e-5)
            assert (scores[:, 0] == -np.inf).all()
        turned, _ = steps.step(X[[1, 0], 0].numpy(), steps.select(ours, np.array([1, 0])))
        wanted, _ = language_step(network, X[:, 0], theirs)
        np.testing.assert_allclose(turned[::-1], wanted.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"cell": "mingru", "weight_dropout": 0.2},
            "weight_dropout: got 0.2; expected 0 with cell 'mingru', which has no recurrent weight. "
            "Use dropout or input_dropout.",
        ),
        (
            {"softmax": "adaptive"},
            "cutoffs: got (); expected token numbers with softmax='adaptive', else none.",
        ),
        (
            {"softmax": "adaptive", "cutoffs": (5, V)},
            f"cutoffs: got (5, {V}); expected one or more rising whole numbers in [2, {V - 1}].",
        ),
        (
            {"softmax": "hierarchical"},
            "softmax: got 'hierarchical'; expected one of 'full', 'adaptive', 'sampled'.",
        ),
        ({"dropout": 1.0}, "dropout: got 1.0; expected a number in [0, 1)."),
        ({"vocabulary_size": 2}, "vocabulary_size: got 2; expected a whole number of 3 or more."),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        build_language(spec(**options))
    assert str(caught.value) == text
