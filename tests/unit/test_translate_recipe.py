"""The defaults of a translator follow the number of pairs and tokens."""

from __future__ import annotations

from typing import Any

import pytest

from rekur.tasks.translate.options import TranslateOptions
from rekur.tasks.translate.recipe import Facts, fill

SMALL = Facts(pairs=900, tokens=12_000, vocabulary=400, is_shared=True, has_time_limit=False)
LARGE = Facts(pairs=29_000, tokens=480_000, vocabulary=6_400, is_shared=True, has_time_limit=False)


def chosen(facts: Facts, **options: Any) -> dict[str, Any]:
    return fill({**dict.fromkeys(TranslateOptions.__dataclass_fields__), **options}, facts)


def test_small_networks_learn_faster() -> None:
    small, large = chosen(SMALL), chosen(LARGE)
    assert small["hidden_size"] < large["hidden_size"]
    assert small["learning_rate"] > large["learning_rate"]
    assert small["epochs"] > large["epochs"]


@pytest.mark.parametrize(("vocabulary", "draws"), [(400, False), (2_999, False), (3_000, True), (20_000, True)])
def test_the_softmax_of_large_vocabularies_is_summed_over_drawn_tokens(vocabulary: int, draws: bool) -> None:
    assert (0 < chosen(LARGE._replace(vocabulary=vocabulary))["samples"] < vocabulary) == draws
    assert chosen(LARGE, samples=0)["samples"] == 0


def test_a_batch_has_no_more_tokens_than_give_many_steps_a_pass() -> None:
    for facts in (SMALL, LARGE, SMALL._replace(pairs=20, tokens=200)):
        steps = chosen(facts)["batch_steps"]
        assert steps <= 900
        assert facts.tokens / steps >= min(60, facts.pairs / 16)


def test_where_time_is_limited_it_ends_the_training() -> None:
    limited = chosen(LARGE._replace(has_time_limit=True))
    assert (limited["epochs"], limited["patience"]) == (1000, 0)
