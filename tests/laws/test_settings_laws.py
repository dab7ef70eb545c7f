"""PyTorch's settings of a process change no model: its default type, and whether gradients are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rekur import Classifier, LanguageModel, Regressor
from rekur.cells import CELLS
from rekur.nn import GRU, LSTM, RNN, Recurrent
from rekur.study import search
from rekur.tasks import DynamicEvaluation, load

RNG = np.random.default_rng(0)
SERIES = [RNG.normal(size=(5, 2)) for _ in range(20)]
NUMBERS = [float(item.sum()) for item in SERIES]
WORDS = [f"{'good' if i % 2 else 'bad'} film {i % 5}" for i in range(20)]
NAMES = ["ab"[i % 2] for i in range(20)]
TEXT = "to be or not to be, that is the question. " * 12
FEW: dict[str, Any] = {"hidden_size": 4, "epochs": 1, "baseline": False}
EVERYTHING: dict[str, Any] = {
    "bidirectional": True,
    "num_layers": 2,
    "kernel_size": 3,
    "pooling": "attention+last",
    "recurrent_dropout": 0.1,
    "norm": True,
}
ALL_OF_LANGUAGE: dict[str, Any] = {
    "softmax": "sampled",
    "ngrams": (2,),
    "recall": (2,),
    "row_dropout": 0.1,
    "weight_dropout": 0.1,
    "norm": True,
    "checkpoint_steps": 8,
}
FITS: dict[str, Callable[[], Any]] = {
    "regress": lambda: Regressor(**FEW).fit(SERIES, NUMBERS),
    "words": lambda: Classifier(**FEW).fit(WORDS, NAMES),
    "classes": lambda: Classifier(**EVERYTHING, class_weight="balanced", **FEW).fit(SERIES, NAMES),
    "labels": lambda: Classifier(multi_label=True, **FEW).fit(SERIES, [[name] for name in NAMES]),
    "language": lambda: LanguageModel(**ALL_OF_LANGUAGE, **FEW).fit(TEXT),
    "adaptive": lambda: LanguageModel(softmax="adaptive", tied=True, embedding_size=4, **FEW).fit(TEXT),
    "by heart": lambda: LanguageModel(**FEW).fit("hello"),
}
CELL_FITS = {cell: lambda cell=cell: Regressor(cell=cell, **FEW).fit(SERIES, NUMBERS) for cell in CELLS}


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS: dict[str, Callable[[], Any]] = {
    "float64": lambda: default(torch.float64),
    "bfloat16": lambda: default(torch.bfloat16),
    "float16": lambda: default(torch.float16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def used(model: Any) -> list[Any]:
    """What a model says, by every way that it runs."""
    if isinstance(model, LanguageModel):
        scored = model.evaluate("hello" if len(model.features_.vocabulary_) < 8 else TEXT[:60])
        return [scored["loss"], model.generate("", max_tokens=4, seed=0)[0].text]
    items = WORDS if model.features_.is_discrete else SERIES
    return [model.scores(items).tolist(), model.metrics_]


@pytest.fixture(scope="module")
def usual() -> dict[str, tuple[dict[str, torch.Tensor], list[Any]]]:
    """Weights and answers of every model where nothing is set."""
    models = {name: make() for name, make in {**FITS, **CELL_FITS}.items()}
    return {name: (model.model_.state_dict(), used(model)) for name, model in models.items()}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_trained_is_the_same(setting: str, usual: dict[str, Any], tmp_path: Path) -> None:
    with SETTINGS[setting]():
        for name, make in {**FITS, **(CELL_FITS if setting == "bfloat16" else {})}.items():
            model = make()
            weights, answers = usual[name]
            for key, value in model.model_.state_dict().items():
                assert value.dtype == weights[key].dtype, (name, key)
                assert torch.equal(value, weights[key]), (name, key)
            assert used(model) == answers, name
            if name in ("regress", "language"):
                again = load(model.save(tmp_path / name))
                assert used(again)[0] == answers[0]


@pytest.mark.parametrize("setting", ["no_grad", "inference_mode"])
def test_what_learns_later_takes_gradients_too(setting: str, tmp_path: Path) -> None:
    folder = FITS["language"]().save(tmp_path / "m")
    usual = load(folder).evaluate_corpus(_texts(), dynamic=DynamicEvaluation())
    with SETTINGS[setting]():
        assert load(folder).evaluate_corpus(_texts(), dynamic=DynamicEvaluation()) == usual
        found = search("regress", SERIES, NUMBERS, out=tmp_path / "s", trials=1, options=FEW)
    assert found.best is not None
    assert np.isfinite(found.best.score)


def _texts() -> Any:
    from rekur.data import texts_in_memory

    return texts_in_memory([TEXT[:80]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_layers_follow_the_default_as_those_of_torch_do(dtype: torch.dtype) -> None:
    with default(dtype):
        x = torch.randn(2, 3, 4)
        for layer in (RNN(4, 6), LSTM(4, 6), GRU(4, 6)):
            assert {weight.dtype for weight in layer.parameters()} == {dtype}
            assert layer(x)[0].dtype == dtype
        for cell in CELLS:
            layer = Recurrent(cell, 4, 6)
            assert {weight.dtype for weight in layer.parameters()} == {dtype}, cell
            assert all(bool(weight.isfinite().all()) for weight in layer.parameters()), cell
            output = layer(x).output
            assert output.dtype == dtype
            assert bool(output.isfinite().all()), cell
