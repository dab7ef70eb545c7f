"""The next token: records are sums over the stretches of a text, whatever the tokens, and scores come from records.

Axes: T tokens, K token numbers, R stretches.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur._ids import UNKNOWN
from rekur.data import encode_texts, texts_in_memory
from rekur.features import TextFeatures
from rekur.metrics import METRICS
from rekur.targets import NextTarget, restore_target

TEXTS = st.lists(st.text("abc é\n", min_size=1, max_size=300), min_size=1, max_size=24)
KINDS = pytest.mark.parametrize("tokens", ["char", "byte", "word"])


def case(texts: list[str], tokens: str, seed: int) -> tuple[NextTarget, Any, Any]:
    """Return a target, scores (T, K) of the tokens of texts, and their context."""
    features = TextFeatures(tokens).fit(["a b c"])
    encoded = encode_texts(texts_in_memory([f"{text}." for text in texts]), features)
    target = NextTarget(features.size, reset=True)
    outputs = np.random.default_rng(seed).normal(0, 2, (len(encoded), target.size)).astype(np.float32)
    return target, outputs, {"tokens": encoded.ids, "stretches": encoded.stretches}


@KINDS
@draws(25)
@given(TEXTS, st.integers(0, 2**31))
def test_records_add_up_to_the_texts(tokens: str, texts: list[str], seed: int) -> None:
    target, outputs, context = case(texts, tokens, seed)
    prediction = target.decode(outputs, context)
    records = target.record(prediction, None, context)
    nats, count, characters, size, unknown = records.sum(axis=0).tolist()
    assert nats == pytest.approx(-prediction.sum(dtype=np.float64))
    assert (count, unknown) == (len(outputs), (context["tokens"] == UNKNOWN).sum())
    assert characters == sum(len(text) + 1 for text in texts)
    assert size == sum(len(text.encode()) + 1 for text in texts)
    wide = outputs.astype(np.float64)
    exact = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(prediction, exact[np.arange(len(wide)), context["tokens"]], atol=1e-4)
    np.testing.assert_array_equal(target.records([outputs], [""], [context]), records)
    np.testing.assert_array_equal(target.record(prediction[:, None][:, 0], "", context), records)
    np.testing.assert_array_equal(target.decode(prediction[:, None], context), prediction)


@draws(25)
@given(TEXTS, st.integers(0, 2**31))
def test_stretches_do_not_depend_on_the_tokens(texts: list[str], seed: int) -> None:
    records = [
        target.record(target.decode(outputs, context), None, context)
        for target, outputs, context in (case(texts, tokens, seed) for tokens in ("char", "byte", "word"))
    ]
    for other in records[1:]:
        np.testing.assert_array_equal(other[:, 2:4], records[0][:, 2:4])


@KINDS
@draws(25)
@given(TEXTS, st.integers(0, 2**31))
def test_every_number_that_is_told_comes_from_the_score(tokens: str, texts: list[str], seed: int) -> None:
    target, outputs, context = case(texts, tokens, seed)
    records = target.record(target.decode(outputs, context), None, context)
    scores, report = target.score(records), target.report(records)
    assert {key: report[key] for key in scores} == scores
    assert report["tokens"] == target.count(records) == len(outputs)
    assert {target.decides, *target.followed} <= set(scores) <= set(METRICS)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    assert scores["bits_per_character"] == pytest.approx(report["nats"] / math.log(2) / report["characters"])
    assert target.score(np.concatenate([records, records[::-1]])) == pytest.approx(scores)
    if len(records) < 10:
        assert report["loss_interval"] is report["perplexity_interval"] is None
    else:
        low, high = report["loss_interval"]
        assert low <= high
        assert report["perplexity_interval"] == [math.exp(low), math.exp(high)]


def test_saved_is_as_learned() -> None:
    target = NextTarget.learn([], TextFeatures("byte"), reset=False)
    again = restore_target(json.loads(json.dumps({"kind": target.kind, **target.to_dict()})), "")
    assert again.to_dict() == target.to_dict() == {"size": 258, "reset": False}
    assert restore_target({"size": 7, "reset": True}, "language").size == 7
