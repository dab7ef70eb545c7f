"""Searches of texts: limits, blank sources, and the count of what was cut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rekur.errors import InputError
from rekur.runtime.search import Search, SearchTally, search

END = 3


class Repeats:
    """Steps that write the first token of the source for ever; of a source that begins with the end, nothing."""

    def encode(self, sequences: Any) -> Any:
        self.lengths = [len(sequence) for sequence in sequences]
        return np.array([sequence[0] for sequence in sequences])

    def begin(self, batch: int, memory: Any = None) -> Any:
        return memory

    def step(self, ids: Any, state: Any) -> Any:
        scores = np.full((len(state), 8), np.log(0.02), np.float32)
        scores[np.arange(len(state)), state] = np.log(0.8)
        return scores, state

    def select(self, state: Any, rows: Any) -> Any:
        return state[rows]


STEPS = [np.array(ids, np.int64) for ids in ([5, 4], [], [END], [6] * 9)]


@pytest.mark.parametrize("beam", [1, 4])
def test_a_search_that_does_not_end_is_bounded_and_counted(beam: int) -> None:
    how = Search(beam=beam, max_source=6, max_length=20)
    model = Repeats()
    outputs = search(model, STEPS, how)
    assert model.lengths == [6, 2, 1]
    assert [len(best[0].ids) for best in outputs] == [20, 0, 0, 20]
    assert [best[0].is_cut for best in outputs] == [True, False, False, True]
    assert np.isnan(outputs[1][0].score)
    tally = SearchTally(SimpleNamespace(max_length=None), how)
    tally.add(["", "", "", ""], STEPS, outputs)
    assert tally.sentence("a") == (
        "a: 1 source cut after 6 tokens; 2 texts cut at the limit of the length, before the model ended; "
        "1 text empty though the source is not (rekur predict --beam 5 --n-best 5 writes others)."
    )


def test_limits_and_repeats_are_those_that_were_asked_for() -> None:
    lengths = [len(best[0].ids) for best in search(Repeats(), STEPS, Search(min_ratio=2, max_ratio=3))]
    assert lengths == [6, 0, 2, 27]
    (best,) = search(Repeats(), STEPS[:1], Search(no_repeat=2, max_length=9))
    pairs = list(zip(best[0].ids, best[0].ids[1:], strict=False))
    assert len(set(pairs)) == len(pairs)
    assert len(search(Repeats(), STEPS, Search(beam=3, n_best=3))[1]) == 3


def test_sources_that_the_features_cut_are_counted() -> None:
    features = SimpleNamespace(max_length=4, n_truncated=7)
    tally = SearchTally(features, Search())
    features.n_truncated += 2
    assert tally.sentence("a") == "a: 2 sources cut after 4 tokens."
    assert SearchTally(features, Search()).sentence("a") == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "max_length: got 0"),
        ({"max_source": 0}, "max_source: got 0"),
        ({"min_ratio": -1}, "min_ratio: got -1"),
        ({"max_ratio": 0}, "max_ratio: got 0"),
        ({"min_ratio": 3, "max_ratio": 2}, "max_ratio: got 2; expected 3 or more"),
        ({"no_repeat": -1}, "no_repeat: got -1"),
        ({"n_best": 2}, "n_best: got 2"),
    ],
)
def test_limits_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Search(**options)


def test_a_huge_ratio_does_not_overflow() -> None:
    assert Search(max_ratio=1e300).limits([3])[1][0] > 10**9
