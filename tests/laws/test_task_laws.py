"""Laws of whole tasks, from the raw item on: live = batch, saved = loaded, one seed = one model, train only."""

from __future__ import annotations

import functools
import math
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur import Classifier, Regressor
from rekur.data import Corpus
from rekur.tasks import load

CELLS = ("lstm", "gru", "rnn", "mingru")
POOLINGS = ("last", "mean", "max", "attention")
KINDS = ("word", "char", "byte", "symbols", "series")
WORDS = ("good", "bad", "fílm", "x", "42", "don't", "—", "日本")
NAN = math.nan


def item(kind: str, rng: random.Random) -> Any:
    size = rng.randint(1, 7)
    if kind == "symbols":
        return "".join(rng.choices("ACGTN", k=size))
    if kind == "series":
        return [[NAN if rng.random() < 0.2 else rng.gauss(0, 2), rng.gauss(1, 1)] for _ in range(size)]
    return " ".join(rng.choices(WORDS, k=size))


def options(kind: str) -> dict[str, Any]:
    if kind in ("symbols", "series"):
        return {"kind": kind}
    counted = {} if kind == "byte" else {"min_count": 1}
    return {"kind": "text", "feature_options": {"tokens": kind, **counted}}


def data(kind: str, count: int = 24, seed: int = 0) -> tuple[list[Any], list[Any]]:
    rng = random.Random(seed)
    return [item(kind, rng) for _ in range(count)], [("no", "yes")[i % 2] for i in range(count)]


def classifier(kind: str, cell: str = "gru", pooling: str = "last+mean+max", **changes: Any) -> Classifier:
    """Return a model that is not fitted, small and quick, with every part that has a state of its own."""
    usual = {"epochs": 1, "hidden_size": 5, "baseline": False, "learning_rate": 0.05}
    usual |= {} if kind == "series" else {"embedding_size": 4}
    return Classifier(cell=cell, pooling=pooling, **options(kind), **{**usual, **changes})


@functools.cache
def fitted(kind: str, cell: str, pooling: str, kernel_size: int = 0) -> Classifier:
    X, y = data(kind)
    return classifier(kind, cell, pooling, kernel_size=kernel_size, num_layers=1 + (cell == "lstm")).fit(X, y)


def cut(whole: Any, cuts: list[int]) -> list[Any]:
    """Return an item in pieces; places beyond its end and doubled ones give empty pieces."""
    places = sorted(min(place, len(whole)) for place in cuts)
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


def shares(prediction: Any) -> list[float]:
    return list(prediction.probabilities.values())


@pytest.mark.parametrize(
    ("cell", "pooling"),
    [
        *((cell, "last+mean+max+attention") for cell in CELLS),
        *((cell, p) for cell, p in zip(CELLS, POOLINGS, strict=True)),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
@draws(4)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 30), max_size=6))
def test_live_is_batch_at_every_prefix(kind: str, cell: str, pooling: str, seed: int, cuts: list[int]) -> None:
    model = fitted(kind, cell, pooling, kernel_size=3 if cell == "gru" else 0)
    whole = item(kind, random.Random(seed))
    session = model.stream()
    so_far = whole[:0]
    for piece in cut(whole, cuts):
        if not len(piece):
            continue  # an empty event is an event of some features and an error of others
        so_far = so_far + piece
        live = session.push(piece).tentative
        assert session.fork().finish().final == live
        np.testing.assert_allclose(shares(live), shares(model.present([so_far])[0]), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@draws(5)
@given(seed=st.integers(0, 10**6), place=st.integers(0, 20))
def test_a_live_state_goes_through_bytes_in_the_middle(kind: str, seed: int, place: int) -> None:
    model = fitted(kind, "lstm", "last+mean+max")
    first, second = cut(item(kind, random.Random(seed)), [place])
    session, other = model.stream(), model.stream()
    if len(first):
        session.advance(first)
    state = session.get_state()
    other.set_state(state)
    assert other.get_state() == state
    assert other.prediction() == session.prediction()
    if len(second):
        assert other.push(second) == session.push(second)
    assert other.get_state() == session.get_state()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_saved_is_loaded_to_the_same_bits(kind: str, cell: str) -> None:
    model = fitted(kind, cell, "last+mean+max")
    X, y = data(kind, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(model.save(Path(folder) / "a"))
        again = load(loaded.save(Path(folder) / "b"))
        for other in (loaded, again):
            assert np.array_equal(model.scores(X), other.scores(X))
            assert model.present(X) == other.present(X)
            assert model.evaluate(X, y) == other.evaluate(X, y)
            assert model.stream().push(X[0]) == other.stream().push(X[0])
            assert model.get_params() == other.get_params()
        assert loaded.fingerprint_ == again.fingerprint_
        weights = [(Path(folder) / name / "model.safetensors").read_bytes() for name in "ab"]
        assert weights[0] == weights[1]


@pytest.mark.parametrize("cell", CELLS)
def test_one_seed_is_one_model(cell: str) -> None:
    X, y = data("char")
    loud = {"dropout": 0.3, "token_dropout": 0.2, "input_dropout": 0.2}
    if cell != "mingru":
        loud["recurrent_dropout"] = 0.2
    first, second, other = (classifier("char", cell, **loud, seed=seed).fit(X, y) for seed in (7, 7, 8))
    assert np.array_equal(first.scores(X), second.scores(X))
    assert not np.array_equal(first.scores(X), other.scores(X))
    assert [row["train_loss"] for row in first.history_.rows] == [row["train_loss"] for row in second.history_.rows]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@draws(4)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(6)))
def test_a_prediction_does_not_depend_on_its_batch_mates(
    kind: str, bidirectional: bool, seed: int, order: list[int]
) -> None:
    model = both_ways(kind) if bidirectional else fitted(kind, "gru", "last+mean+max")
    rng = random.Random(seed)
    items = [item(kind, rng) for _ in range(5)] + [item(kind, rng) * 9]
    together = model.predict_proba(items)
    np.testing.assert_allclose(np.concatenate([model.predict_proba([x]) for x in items]), together, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba([items[i] for i in order]), together[order], atol=1e-6)


@functools.cache
def both_ways(kind: str) -> Classifier:
    return classifier(kind, "lstm", "last+mean", bidirectional=True, num_layers=2).fit(*data(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_fitted_on_the_training_items_only(kind: str) -> None:
    X, y = data(kind)
    strange = [[[1e6, -1e6]] * 3] * 4 if kind == "series" else ["ZQZQ" if kind == "symbols" else "ωωω qqq ωωω"] * 4
    usual, _ = data(kind, 4, seed=5)
    # validation items choose between weights and their average: there is to be none
    unfitted = [classifier(kind, average=0.0) for _ in range(2)]
    held_out = zip(unfitted, (usual, strange), strict=True)
    models = [model.fit(X, y, X_valid=items, y_valid=["no", "yes"] * 2) for model, items in held_out]
    assert models[0].features_.to_dict() == models[1].features_.to_dict()
    assert models[0].classes_.tolist() == models[1].classes_.tolist()
    assert np.array_equal(models[0].scores(X), models[1].scores(X))


def test_a_scaler_of_targets_is_fitted_on_the_training_items_only() -> None:
    X = [[[float(i % 5)]] * 3 for i in range(24)]
    y = [float(i % 5) for i in range(24)]
    small = {"epochs": 1, "hidden_size": 4, "baseline": False}
    models = [Regressor(**small).fit(X, y, X_valid=X[:4], y_valid=held) for held in (y[:4], [1e6, -1e6, 3, 4])]
    assert models[0].target_mean_ == models[1].target_mean_ == pytest.approx(np.mean(y))
    assert models[0].target_scale_ == models[1].target_scale_ == pytest.approx(np.std(y))


def test_held_out_rows_of_the_same_data_do_not_reach_the_features() -> None:
    X = [f"common {chr(97 + i) * 3}" for i in range(20)]
    model = classifier("word", valid_fraction=0.5).fit(X, ["a", "b"] * 10)
    known = [x for x in X if 1 not in model.features_.transform(x)]
    assert len(known) == 10


def test_numbers_live_are_numbers_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(int(n), 2)) for n in rng.integers(2, 8, 24)]
    model = Regressor(epochs=1, hidden_size=4, baseline=False).fit(X, [float(x.sum()) for x in X])
    session = model.stream()
    for t, row in enumerate(X[0], start=1):
        assert session.push(row).tentative == pytest.approx(model.present([X[0][:t]])[0], abs=1e-5)


def test_a_store_on_disk_gives_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from rekur.data import Ragged, encoded

    class OnDisk:
        made: list[Any] = []  # noqa: RUF012

        @classmethod
        def from_named(cls, items: Any) -> Any:
            named = Ragged.from_named(items, spill_bytes=0)
            cls.made.extend(named.values())
            return named

    for kind in ("word", "series"):
        X, y = data(kind)
        usual = classifier(kind).fit(X, y)
        with monkeypatch.context() as patch:
            patch.setattr(encoded, "Ragged", OnDisk)
            spilled = classifier(kind).fit(X, y)
        assert all(store.is_spilled for store in OnDisk.made)
        assert np.array_equal(usual.scores(X), spilled.scores(X))
        assert usual.metrics_ == spilled.metrics_
    assert len(OnDisk.made) == 2


def test_a_corpus_is_read_in_passes_and_never_gathered() -> None:
    from rekur.data import Example

    alive = most = 0

    class Text(str):
        def __new__(cls, *words: Any) -> Text:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return super().__new__(cls, *words)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def read() -> Any:
        for i in range(300):
            yield Example(Text(f"w{i % 9} v{i % 7} u{i}"), "ab"[i % 2], i, None)

    classifier("word").fit_corpus(Corpus(read, "rows"))
    assert most < 10
