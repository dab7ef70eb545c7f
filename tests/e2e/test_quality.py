"""Floors under the scores that default options reach, on data that come with Python and scikit-learn.

A floor is well below the scores of several seeds and well above those of a recipe that is broken. For the scores that
models reach on real data, see ``benchmarks/quality.py``.
"""

from __future__ import annotations

from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

from rekur import Classifier, Regressor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def digits() -> tuple[list[Any], Any]:
    """Return pictures of 8 × 8 pixels, read row by row, and the digits on them."""
    pixels, labels = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[:800]
    return [pixels[index].reshape(8, 8) for index in order], labels[order]


def paragraphs() -> tuple[list[str], list[str]]:
    """Return paragraphs of Python's manual and the names of the pages that they stand on, one of the three longest."""
    pages = sorted(topics, key=lambda name: -len(topics[name]))[:3]
    rows = [(text, page) for page in pages for text in topics[page].split("\n\n") if 40 < len(text) < 600]
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[index][0] for index in order], [rows[index][1] for index in order]


def test_digits_are_told_apart() -> None:
    items, labels = digits()
    model = Classifier(baseline=False).fit(items[:300], labels[:300])
    assert model.score(items[300:], labels[300:]) > 0.87


def test_ink_is_weighed() -> None:
    items, _ = digits()
    ink = [float(item[:4].sum() - item[4:].sum()) for item in items]
    model = Regressor(baseline=False).fit(items[:200], ink[:200])
    assert model.score(items[300:], ink[300:]) > 0.8


def test_paragraphs_are_told_apart_by_their_words() -> None:
    texts, pages = paragraphs()
    model = Classifier(baseline=False).fit(texts[:400], pages[:400])
    assert model.score(texts[400:], pages[400:]) > 0.7
