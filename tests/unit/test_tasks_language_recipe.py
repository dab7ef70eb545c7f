"""The rules of language models that a text decides."""

from __future__ import annotations

from typing import Any

import pytest

from rekur import LanguageModel

TINY: dict[str, Any] = {"hidden_size": 4, "embedding_size": 3, "steps": 1, "baseline": False}
TEXT = "to be or not to be, that is the question. " * 120


@pytest.mark.parametrize(
    ("texts", "options", "recall"),
    [
        ([TEXT], {}, (3, 4, 5, 6)),
        ([TEXT], {"tokens": "byte"}, (3, 4, 5, 6)),
        ([TEXT], {"tokens": "word"}, ()),
        ([TEXT[:900]] * 6, {}, ()),
        ([TEXT[:900]] * 6, {"reset": False}, (3, 4, 5, 6)),
        ([TEXT], {"recall": ()}, ()),
        ([TEXT[:900]], {"recall": (2,)}, (2,)),
    ],
    ids=["long", "bytes", "words", "short ones", "short ones as one", "none", "told"],
)
def test_long_texts_of_letters_are_recalled(texts: list[str], options: dict[str, Any], recall: tuple[int, ...]) -> None:
    model = LanguageModel(**TINY, **options).fit(texts, X_valid=[TEXT[:300]])
    assert model.chosen_["recall"] == recall
    assert model.model_.spec.recall == recall
