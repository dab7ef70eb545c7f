"""Evaluation that learns while it reads: honest, exact where nothing is learned, and it leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rekur.errors import DivergedError, InputError
from rekur.models import LanguageSpec, build_language
from rekur.tasks.language.adapt import DynamicEvaluation, NeuralCache, run_adapting
from rekur.tasks.language.language_plan import run

SIZE = 30
LEARNING = DynamicEvaluation(learning_rate=1e-2, steps=10)
# outputs of new weights are small
CACHE = NeuralCache(window=200, theta=100.0, share=0.3)


def network():
    spec = LanguageSpec(vocabulary_size=SIZE, hidden_size=24, embedding_size=12, output_dropout=0.5)
    return build_language(spec, seed=0)


def repeated(times=40):
    """A phrase made up of random tokens, again and again with noise between; and where its three documents begin."""
    random = np.random.default_rng(0)
    phrase = random.integers(2, SIZE, 12)
    ids = np.concatenate([part for _ in range(times) for part in (phrase, random.integers(2, SIZE, 3))])
    return ids.astype(np.int32), np.array([0, 100, 333])


def weights(model):
    return [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        {"dynamic": LEARNING},
        {"dynamic": DynamicEvaluation(learning_rate=1, decay=0, steps=5, rule="sgd")},
        {"cache": CACHE},
        {"dynamic": LEARNING, "cache": CACHE},
    ],
    ids=["rms", "sgd", "cache", "both"],
)
def test_a_phrase_that_comes_again_is_learned_and_the_weights_are_as_before(how, reset):
    model, (ids, starts) = network(), repeated()
    before = weights(model)
    plain = run(model, ids, starts, reset=reset)
    adapted = run_adapting(model, ids, starts, reset=reset, **how)
    assert adapted.tokens == len(ids) == len(adapted.each)
    assert adapted.nats == pytest.approx(float(adapted.each.sum()), rel=1e-5)
    assert adapted.nats < 0.93 * plain.sum()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"dynamic": DynamicEvaluation(learning_rate=0)},
        {"cache": NeuralCache(share=0)},
        {"dynamic": DynamicEvaluation(learning_rate=0), "cache": NeuralCache(share=0)},
    ],
    ids=["nothing", "rate 0", "share 0", "both 0"],
)
def test_without_learning_it_is_plain_evaluation_bit_for_bit(how, reset):
    model, (ids, starts) = network(), repeated()
    assert (run_adapting(model, ids, starts, reset=reset, **how).each == run(model, ids, starts, reset=reset)).all()


@pytest.mark.parametrize("how", [{"dynamic": LEARNING}, {"cache": CACHE}], ids=["dynamic", "cache"])
def test_what_comes_later_changes_nothing_of_what_was_predicted(how):
    model, (ids, _) = network(), repeated()
    other = ids.copy()
    place = 155
    other[place:] = np.random.default_rng(5).integers(2, SIZE, len(ids) - place)
    assert other[place] != ids[place]
    first, second = (run_adapting(model, text, np.zeros(1, np.int64), reset=False, **how) for text in (ids, other))
    chunk = place // LEARNING.steps * LEARNING.steps
    assert (first.each[:chunk] == second.each[:chunk]).all()
    # within the chunk itself sums are taken in another order
    assert np.allclose(first.each[chunk:place], second.each[chunk:place], rtol=1e-4)
    assert abs(first.each[place:] - second.each[place:]).max() > 0.1


def test_the_first_tokens_are_predicted_by_the_trained_weights_alone():
    model, (ids, starts) = network(), repeated()
    plain = run(model, ids, starts, reset=False)
    learned = run_adapting(model, ids, starts, reset=False, dynamic=LEARNING).each
    cached = run_adapting(model, ids, starts, reset=False, cache=CACHE).each
    assert np.allclose(learned[:10], plain[:10], rtol=1e-5)
    assert not np.allclose(learned[10:20], plain[10:20], rtol=1e-3)
    assert cached[0] == pytest.approx(plain[0], rel=1e-6)


def test_the_cache_is_the_mixture_of_its_definition():
    model, (ids, starts) = network(), repeated(times=5)
    cache = NeuralCache(window=17, theta=1.5, share=0.25)
    found = run_adapting(model, ids, starts[:1], reset=False, cache=cache).each
    x = torch.from_numpy(np.concatenate([[0], ids[:-1]])).long()[None]
    with torch.no_grad():
        out = model(x, torch.from_numpy(ids).long()[None])
    hidden, nats = out.hidden[0].double().numpy(), out.nats[0].double().numpy()
    for t in range(len(ids)):
        past = range(max(0, t - 17), t)
        weight = np.array([np.exp(1.5 * hidden[t] @ hidden[i]) for i in past])
        same = np.array([ids[i] == ids[t] for i in past])
        model_alone = np.exp(-nats[t])
        mixed = 0.75 * model_alone + 0.25 * (weight * same).sum() / weight.sum() if t else model_alone
        assert found[t] == pytest.approx(-np.log(mixed), rel=1e-4)


def test_decay_holds_the_weights_near_home():
    model, (ids, starts) = network(), repeated()
    plain = run(model, ids, starts, reset=False).sum()
    free, held, home = (
        run_adapting(model, ids, starts, reset=False, dynamic=DynamicEvaluation(learning_rate=3e-3, decay=d)).nats
        for d in (0, 0.2, 1)
    )
    assert free < held < home
    assert home < plain  # the last step is never taken back


def test_a_rate_that_is_too_high_is_told_and_the_weights_are_as_before():
    model, (ids, starts) = network(), repeated()
    before = weights(model)
    with pytest.raises(DivergedError) as caught:
        run_adapting(
            model, ids, starts, reset=False, dynamic=DynamicEvaluation(learning_rate=1e38, steps=5, rule="sgd", decay=0)
        )
    assert str(caught.value) == (
        "learning_rate: got 1e+38; expected one with which the loss stays finite. Take a lower one."
    )
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DynamicEvaluation(learning_rate=-1), "learning_rate: got -1; expected a number of 0 or more."),
        (lambda: DynamicEvaluation(decay=2), "decay: got 2; expected a number in [0, 1]."),
        (lambda: DynamicEvaluation(steps=0), "steps: got 0; expected a whole number of 1 or more."),
        (
            lambda: DynamicEvaluation(rule="rsm"),
            "rule: got 'rsm'; expected one of 'rms', 'sgd'. Did you mean 'rms'?",
        ),
        (lambda: NeuralCache(window=0), "window: got 0; expected a whole number of 1 or more."),
        (lambda: NeuralCache(theta=-0.1), "theta: got -0.1; expected a number of 0 or more."),
        (lambda: NeuralCache(share=1), "share: got 1; expected a number in [0, 1)."),
    ],
)
def test_options_out_of_range_are_refused(make, text):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == text
