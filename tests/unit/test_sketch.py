"""Sketches of training data: what is recognized, what is not, and that they survive saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rekur
from rekur.data import texts_in_memory
from rekur.data.encoded import EncodedItems
from rekur.data.ragged import Ragged
from rekur.data.sketch import Sketch
from rekur.errors import BundleError
from rekur.runtime import read_bundle
from rekur.tasks import load

QUICK: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "baseline": False}


def items(numbers: range | list[int]) -> EncodedItems:
    return EncodedItems(
        {"steps": Ragged.from_iter([np.array([n]) for n in numbers])}, np.empty(0), np.arange(len(numbers))
    )


def test_shares_of_many_items_are_about_right() -> None:
    sketch = Sketch.of_items([items(range(18_000)), items(range(18_000, 20_000))])
    assert (len(sketch.hashes), sketch.every) == (512, False)
    assert sketch.share(items(range(20_000, 40_000))) == 0
    assert sketch.share(items(range(10_000, 30_000))) == pytest.approx(0.5, abs=0.1)
    assert sketch.share(items(range(20_000))) == 1
    for part in (range(20_000), range(18_000), range(18_000, 20_000), list(range(19_999, -1, -1))):
        assert sketch.is_whole(items(part))
    assert not sketch.is_whole(items(range(19_999)))
    assert Sketch.from_dict(sketch.to_dict()).to_dict() == sketch.to_dict()


def test_of_few_items_all_are_kept_and_repeats_count() -> None:
    sketch = Sketch.of_items([items([1, 2, 2]), items([3])])
    assert (len(sketch.hashes), sketch.every) == (3, True)
    assert sketch.share(items([1, 9, 9, 9])) == 0.25
    assert sketch.is_whole(items([3, 2, 1, 2]))
    assert not sketch.is_whole(items([3, 2, 1]))
    assert sketch.share(items([])) is None


def test_a_bundle_keeps_it_and_a_copy_of_it_too(tmp_path: Path) -> None:
    texts = [f"{word} {k}" for k in range(12) for word in ("good", "bad")]
    rekur.Classifier(**QUICK).fit(texts, [1, 0] * 12).save(tmp_path / "a")
    load(tmp_path / "a").save(tmp_path / "b")
    first, second = (read_bundle(tmp_path / name).sketch() for name in "ab")
    assert first is not None
    assert second is not None
    assert first.to_dict() == second.to_dict()
    model = rekur.load(tmp_path / "a")
    assert model.sketch_ is not None


@pytest.mark.parametrize("changed", [{"hashes": "!"}, {"length": -1}, {"wholes": 3}, {"every": 1}, {"hashes": None}])
def test_a_sketch_that_was_changed_is_refused(changed: dict[str, Any]) -> None:
    saved = {**Sketch.of_items([items([1])]).to_dict(), **changed}
    with pytest.raises(ValueError, match=r".+"):
        Sketch.from_dict(saved)
    assert issubclass(BundleError, ValueError)


def test_texts_are_recognized_by_their_stretches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text, other = ("".join(rng.choice(list("abcd "), 6_000)) for _ in range(2))
    rekur.LanguageModel(**QUICK, steps=1).set_params(epochs=None).fit(text).save(tmp_path / "m")
    model = rekur.load(tmp_path / "m")
    assert model.sketch_ is not None
    shares = []
    for each in (text, other, text[:2_000], text[:3_000] + other[:3_000]):
        shares.append(model.sketch_.share(model.encode_corpus(texts_in_memory([each], name="X"))))
    assert shares[1] == 0
    assert shares[0] > 0.95
    assert shares[2] > 0.95
    assert 0.3 < shares[3] < 0.7
