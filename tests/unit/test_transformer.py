"""The plain Transformer of comparisons: its equations, chunks, padding, what takes it and what refuses it by name."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rekur
from rekur.errors import BundleError, InputError
from rekur.models import LanguageSpec, SequenceSpec, TaggerSpec, build_language
from rekur.models.transformer import HEADS, WINDOW, TransformerLayer, TransformerStack
from rekur.study.run_comparison import compare
from rekur.tasks import TASKS, load

QUICK: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "num_layers": 1, "baseline": False}


def defined(layer: TransformerLayer, x: Tensor) -> Tensor:
    """Return the outputs of a layer for one sequence (T, D), step by step and head by head as its equations say."""
    size = layer.features
    x = x if layer.enter is None else layer.enter(x)
    inputs = layer.norm_attend(x)
    keys_values = layer.key_value(inputs)
    queries, keys, values = layer.query(inputs), keys_values[:, : HEADS * size], keys_values[:, HEADS * size :]
    rows = []
    for t in range(len(x)):
        seen = range(max(0, t - WINDOW), t + 1) if layer.causal else range(len(x))
        heads = []
        for head in range(HEADS):
            cut = slice(head * size, (head + 1) * size)
            scores = []
            for s in seen:
                product = x.new_zeros(())
                for pair in range(size // 2):  # a pair as a complex number, turned by its distance
                    angle = (t - s) * 10_000 ** (-pair / (size // 2))
                    q, k = ((row[cut][pair], row[cut][pair + size // 2]) for row in (queries[t], keys[s]))
                    cosine, sine = math.cos(angle), math.sin(angle)
                    product = product + (q[0] * k[0] + q[1] * k[1]) * cosine - (q[0] * k[1] - q[1] * k[0]) * -sine
                scores.append(product / math.sqrt(size))
            shares = torch.softmax(torch.stack(scores), dim=0)
            heads.append(shares @ torch.stack([values[s][cut] for s in seen]))
        rows.append(torch.cat(heads))
    y = x + layer.attended(torch.stack(rows))
    y = y + layer.narrow(torch.nn.functional.gelu(layer.wide(layer.norm_wide(y))))
    outputs: Tensor = y if layer.norm_last is None else layer.norm_last(y)
    return outputs


@pytest.mark.parametrize("causal", [True, False])
def test_values_and_gradients_are_those_of_the_equations(causal: bool) -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(3, 10, causal=causal, last=True)
    x = torch.randn(2, 6, 3)
    outputs, _ = layer.run(x, None, torch.tensor([6, 4]))
    torch.autograd.backward(outputs.square().sum())
    exact = TransformerLayer(3, 10, causal=causal, last=True).double()
    exact.load_state_dict({name: weight.double() for name, weight in layer.state_dict().items()})
    right = [defined(exact, x[0].double()), defined(exact, x[1, :4].double())]
    torch.autograd.backward([each.square().sum() for each in right])
    torch.testing.assert_close(outputs[0].double(), right[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs[1, :4].double(), right[1], atol=1e-5, rtol=1e-5)
    assert not outputs[1, 4:].any()
    for (name, weight), other in zip(layer.named_parameters(), exact.parameters(), strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad.double(), other.grad, atol=1e-4, rtol=1e-4, msg=name)


def test_chunks_and_padding_change_nothing() -> None:
    torch.manual_seed(0)
    stack, x = TransformerStack(3, 10, num_layers=2, causal=True).eval(), torch.randn(2, WINDOW + 70, 3)
    with torch.no_grad():
        whole = stack(x).output
        state, parts = stack.initial_state(2), []
        for start, end in ((0, 50), (50, 53), (53, WINDOW + 70)):
            result = stack(x[:, start:end], state)
            state = result.state
            parts.append(result.output)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)
        ragged = stack(x, lengths=torch.tensor([WINDOW + 70, 9]))
        behind = stack(x[:, 9:20], ragged.state).output[1]
        torch.testing.assert_close(behind, whole[1, 9:20], atol=1e-5, rtol=1e-4)
        dirty = x.clone()
        dirty[1, 9:] = math.nan
        torch.testing.assert_close(stack(dirty, lengths=torch.tensor([WINDOW + 70, 9])).output, ragged.output)


def test_a_document_of_texts_sees_nothing_of_the_one_before() -> None:
    spec = LanguageSpec(vocabulary_size=10, hidden_size=8, embedding_size=4, cell="transformer", num_layers=2)
    network, ids = build_language(spec, seed=0).eval(), torch.randint(2, 10, (1, 30))
    targets, resets = ids.roll(-1, 1), torch.zeros(1, 30, dtype=torch.bool)
    resets[0, 11] = True
    with torch.no_grad():
        whole = network(ids, targets, None, resets).nats
        alone = network(ids[:, 11:], targets[:, 11:]).nats
    torch.testing.assert_close(whole[:, 11:], alone)


@pytest.mark.parametrize("name", ["recurrent_dropout", "residual", "norm"])
def test_options_of_recurrent_layers_are_refused(name: str) -> None:
    changed: dict[str, Any] = {"cell": "transformer", "hidden_size": 8, name: 0.5 if "dropout" in name else True}
    with pytest.raises(InputError, match=f"{name}: got .* expected none with the cell 'transformer'"):
        SequenceSpec(discrete=True, input_size=5, output_size=2, **changed)
    with pytest.raises(InputError, match=name):
        TaggerSpec(columns=(5,), output_size=2, **changed)
    with pytest.raises(InputError, match=name):
        LanguageSpec(vocabulary_size=5, **changed)


# ── in comparisons ───────────────────────────────────────────────────────────────────────────────────────────────


def data_of(task: str) -> tuple[Any, Any]:
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcd", k=rng.randint(2, 6))) for _ in range(40)]
    if task == "language":
        return " ".join(texts * 3), None
    if task == "tag":
        return [text.split() for text in texts], [[letter.upper() for letter in text.split()] for text in texts]
    return texts, [text.count("a") + (0.5 if task == "regress" else 0) for text in texts]


@pytest.mark.parametrize("task", ["classify", "language", "regress", "tag"])
def test_tasks_of_steps_compare_it_with_cells(task: str, tmp_path: Path) -> None:
    X, y = data_of(task)
    lines: list[str] = []
    result = compare(
        task, X, y, X_test=X[5:], y_test=None if y is None else y[5:], cells=["gru", "transformer"], seeds=1,
        options={**QUICK, "hidden_size": 16}, out=tmp_path / "c", say=lines.append,
    )  # fmt: skip
    assert [run.state for run in result.runs] == ["finished", "finished"]
    assert result.split == "test"
    gru, other = (run.core for run in result.runs)
    assert abs(other / gru - 1) < 0.1
    assert lines[0].startswith("transformer: A transformer has no program: ")  # before the first run
    assert "no program" in result.to_dict()["variants"][1]["note"]
    folder = tmp_path / "c" / "runs" / "1-0" / "model"
    with pytest.raises(BundleError, match=r"program: got 'none'; .* A transformer has no program"):
        rekur.load(folder)
    model = load(folder)
    assert type(model) is TASKS[task]
    with pytest.raises(InputError, match="A transformer has no program"):
        model.generate("a") if task == "language" else model.stream()


@pytest.mark.parametrize("task", ["forecast", "translate"])
def test_tasks_that_carry_a_state_refuse_it(task: str) -> None:
    with pytest.raises(InputError, match=r"cell: got 'transformer'; expected a cell of `rekur cells`. A .* recurrent"):
        compare(task, ["a b"] * 9, ["b a"] * 9, cells=["gru", "transformer"])
