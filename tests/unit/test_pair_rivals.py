"""Rivals of translation: the copy of the source, and a lexicon learnt by IBM model 1."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rekur.data import EncodedItems, Ragged
from rekur.errors import InputError
from rekur.metrics import bleu_records, bleu_score
from rekur.runtime import layout, pair_rivals, saved_rivals
from rekur.runtime.pair_rivals import CopyRival, LexiconRival
from rekur.runtime.rival import rival_scores
from rekur.runtime.saved_rivals import RIVALS, rival_files
from rekur.targets import Answer, TextTarget

PAIRS = [
    ("the dog sees me", "le chien me voit"),
    ("the cat runs", "le chat court"),
    ("a dog runs", "un chien court"),
    ("a cat sees you", "un chat te voit"),
    ("you", "te"),
    ("me", "me"),
]


def items(sources: list[str], labels: list[Any]) -> EncodedItems:
    steps = Ragged.from_iter([np.arange(3)] * len(sources))
    contexts = [{"source": source} for source in sources]
    return EncodedItems({"steps": steps}, np.empty(0), np.arange(len(sources)), labels, contexts)


def shares(pairs: list[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Return the lexicon of IBM model 1 by its definition."""
    cut = [(["", *source.split()], target.split()) for source, target in pairs]
    table: Any = defaultdict(lambda: defaultdict(lambda: 1.0))
    for _ in range(5):
        counts: Any = defaultdict(lambda: defaultdict(float))
        for sources, targets in cut:
            for target in targets:
                whole = sum(table[source][target] for source in sources)
                for source in sources:
                    counts[source][target] += table[source][target] / whole
        table = {
            source: {target: count / sum(each.values()) for target, count in each.items()}
            for source, each in counts.items()
        }
    return table


SENTENCES = st.lists(st.sampled_from("abcd"), max_size=5).map(" ".join)


@example([("a b a", "y z"), ("c b", "z x z")])  # four rounds are too few,
@example([("a", "x y y"), ("b", "y")])  # and six too many
@given(st.lists(st.tuples(SENTENCES, SENTENCES), max_size=6))
def test_the_lexicon_is_that_of_the_definition(pairs: list[tuple[str, str]]) -> None:
    lexicon = LexiconRival.fit(pairs).to_saved()[0]["words"]
    table = shares(pairs)
    order = list(dict.fromkeys(word for _, target in pairs for word in target.split()))
    for source in "abcd":
        assert (source in lexicon) == (source in table)
        if source in table:
            best = max(table[source].values())
            likely = [word for word in order if table[source].get(word, 0.0) > best - 1e-7]
            assert lexicon[source] in likely
            if table[source][likely[0]] > best - 1e-12:  # of equals the first
                assert lexicon[source] == likely[0]


def test_words_are_replaced_and_all_else_stays() -> None:
    rival = LexiconRival.fit(PAIRS)
    assert rival.translate("The dog sees a cat.") == "Le chien voit un chat."
    assert rival.translate(" Dog,\u202fZebra\u2028e\u0301 12% ") == " Chien,\u202fZebra\u2028e\u0301 12% "
    assert rival.translate("") == ""
    composed = LexiconRival.fit([("e\u0301te\u0301 l’eau", "x y"), ("l’eau!", "y?")])
    assert composed.translate("«l’eau, E\u0301te\u0301…»") == "«y, X…»"
    assert LexiconRival.fit([]).translate("a b") == "a b"
    assert LexiconRival.fit([("", "x"), ("y", "")]).translate("y") == "y"


def test_a_weight_counts_as_repeated_pairs_do() -> None:
    pairs = [("a b", "x y"), ("a", "y"), ("b", "y x")]
    weighted = LexiconRival.fit(pairs, [1.0, 3.0, 2.0]).to_saved()
    assert weighted == LexiconRival.fit([pairs[0], *pairs[1:2] * 3, *pairs[2:] * 2]).to_saved()
    assert LexiconRival.fit([("a", "x"), ("a", "y")], [0.0, 1.0]).translate("a") == "y"
    assert LexiconRival.fit(pairs[:1], [0.0]).translate("a") == "a"


def test_many_pairs_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_rivals, "_MOST_CELLS", 40)
    lexicon = LexiconRival.fit((f"s{number}", f"t{number}") for number in range(100)).to_saved()[0]["words"]
    assert lexicon == {f"s{number}": f"t{number}" for number in range(0, 100, 8)}


def test_of_a_long_text_the_first_words_are_learnt_from() -> None:
    lexicon = LexiconRival.fit([("a " * 50_000 + "b", "x " * 50_000 + "y")]).to_saved()[0]["words"]
    assert lexicon == {"a": "x"}


def test_rivals_are_scored_as_models_are() -> None:
    sources, labels = [source for source, _ in PAIRS], [[target, "Non"] for _, target in PAIRS]
    encoded = items(sources, labels)
    assert CopyRival().predictions(encoded) == [Answer(source) for source in sources]
    target = TextTarget()
    copied, replaced = (rival_scores(rival, encoded, target) for rival in (CopyRival(), LexiconRival.fit(PAIRS)))
    assert copied["bleu"] < replaced["bleu"]
    weighted = items(sources, labels)
    weighted.weights = np.array([1.0, *[0.0] * 5])
    translation = LexiconRival.fit(PAIRS).translate(sources[0])
    expected = bleu_score(bleu_records([translation], [labels[0]]))
    assert rival_scores(LexiconRival.fit(PAIRS), weighted, target)["bleu"] == pytest.approx(expected)


@pytest.mark.parametrize("rival", [CopyRival(), LexiconRival.fit(PAIRS)])
def test_rivals_are_kept(rival: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = rival_files(rival)
    assert set(files) == {layout.RIVAL}
    saved = layout.parse(Path("rival.json"), files[layout.RIVAL])
    again = RIVALS[saved["kind"]].from_saved(saved, {}, TextTarget())
    encoded = items([source for source, _ in PAIRS], [])
    assert again.predictions(encoded) == rival.predictions(encoded)
    monkeypatch.setattr(saved_rivals, "MOST_BYTES", 10)
    assert rival_files(rival) == {}


def test_contexts_need_the_source() -> None:
    encoded = items(["a"], ["b"])
    encoded.contexts = [None]
    with pytest.raises(InputError, match=r"context: got .*NoneType.*; expected a dict with 'source'"):
        CopyRival().predictions(encoded)


@pytest.mark.slow
def test_the_lexicon_of_captions_is_far_better_than_the_copy(real_data: Path) -> None:
    folder = real_data / "multi30k_en_fr"
    train, valid = (
        [(folder / f"{name}.{side}").read_text(encoding="utf-8").split("\n")[:-1] for side in ("en", "fr")]
        for name in ("train", "val")
    )
    rival = LexiconRival.fit(zip(*train, strict=True))
    scores = [
        bleu_score(bleu_records(texts, valid[1])) for texts in (valid[0], [rival.translate(text) for text in valid[0]])
    ]
    assert scores == pytest.approx([0.49, 17.56], abs=0.05)
