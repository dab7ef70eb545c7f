"""Write what libraries that are in no extra say about made-up cases, so that tests can compare without them.

In an environment of its own, for such libraries want old versions of others:

    python -m venv /tmp/oracles && /tmp/oracles/bin/pip install seqeval==1.2.2
    /tmp/oracles/bin/python tests/oracles/make.py
"""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

from seqeval import metrics, scheme

LETTERS = {"BIO1": "BI", "BIO2": "BI", "BIOES": "BIES", "BILOU": "BILU"}
SCHEMES = {"BIO1": scheme.IOB1, "BIO2": scheme.IOB2, "BIOES": scheme.IOBES, "BILOU": scheme.BILOU}
CASES, SENTENCES = 40, 3


def sentence(draw: random.Random, letters: str) -> list[str]:
    """Return tags in any order, most of them of one label, so that both legal and illegal spans occur."""
    labels = draw.choice([["A"], ["A", "A", "A", "B"], ["A", "B", "G-C"], [""]])
    weights = ["O", *letters, *letters]
    tags = []
    for _ in range(draw.randint(1, 9)):
        letter, label = draw.choice(weights), draw.choice(labels)
        tags.append(letter if letter == "O" or not label else f"{letter}-{label}")
    return tags


def changed(draw: random.Random, tags: list[str], letters: str) -> list[str]:
    """Return the tags with some of them drawn anew."""
    others = sentence(draw, letters) * 9
    return [other if draw.random() < 0.25 else tag for tag, other in zip(tags, others, strict=False)]


def case(name: str, draw: random.Random) -> dict[str, Any]:
    """Return true and predicted tags of some sentences, with their scores."""
    truth = [sentence(draw, LETTERS[name]) for _ in range(SENTENCES)]
    predicted = [changed(draw, tags, LETTERS[name]) for tags in truth]
    result: dict[str, Any] = {"scheme": name}
    result |= {key: [" ".join(tags) for tags in each] for key, each in (("true", truth), ("predicted", predicted))}
    result["accuracy"] = metrics.accuracy_score(truth, predicted)
    scores = (metrics.precision_score, metrics.recall_score, metrics.f1_score)
    if name != "BILOU":  # whose letters the default mode does not know
        result["default"] = [round(float(score(truth, predicted, zero_division=0)), 9) for score in scores]
    strict = {"mode": "strict", "scheme": SCHEMES[name], "zero_division": 0}
    result["strict"] = [round(float(score(truth, predicted, **strict)), 9) for score in scores]
    return result


def main() -> None:
    """Write ``seqeval.json``."""
    warnings.simplefilter("ignore")
    cases = [case(name, random.Random(f"{name} {number}")) for name in LETTERS for number in range(CASES)]
    lines = ",\n".join(json.dumps(row) for row in cases)
    Path(__file__).with_name("seqeval.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
