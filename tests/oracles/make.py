"""Write what libraries that are in no extra say about made-up cases, so that tests can compare without them.

In an environment of its own, for such libraries want old versions of others, or large ones:

    python -m venv /tmp/oracles
    /tmp/oracles/bin/pip install seqeval==1.2.2 sacrebleu==2.6.0 statsmodels==0.14.5 rliable==1.2.0
    /tmp/oracles/bin/python tests/oracles/make.py
"""

from __future__ import annotations

import itertools
import json
import math
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu
import statsmodels.formula.api
from rliable.metrics import probability_of_improvement
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from scipy import stats
from seqeval import metrics, scheme
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

LETTERS = {"BIO1": "BI", "BIO2": "BI", "BIOES": "BIES", "BILOU": "BILU"}
SCHEMES = {"BIO1": scheme.IOB1, "BIO2": scheme.IOB2, "BIOES": scheme.IOBES, "BILOU": scheme.BILOU}
CASES, SENTENCES = 40, 3

#: words and marks of texts: letters of several scripts, numbers, entities, marks of ASCII and others, odd blanks
WORDS = (
    "a the dog man bit It's l'eau été e\u0301te\u0301 \xc5ngstr\xf6m ﬁn 犬が走る собака כלב كلب 😀 "
    "\U0001f469\u200d\U0001f467 1,000.50 10-12% 3. .5 7- -7 &amp; &quot; &lt; &gt; &amp;lt; "
    "<skipped> (a) [b] {c} a/b a_b a@b.c x^2 ~ ` \" ' ’ “q” «q» ? ! ; : , . .. ,, ... - -- – … № $5 #"
)
BLANKS = "\xa0 \u202f \u2009 \u3000 \u200b \x85 \u2028 \t \r \n -\n \x1c \x00"
PIECES = [*WORDS.split(" "), *BLANKS.split(" ")]


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


def text(draw: random.Random, pieces: Sequence[str]) -> str:
    """Return pieces in a row, most of them with a blank between."""
    return "".join(piece + draw.choice(["", " ", " ", " "]) for piece in pieces)


def corpus(draw: random.Random) -> dict[str, Any]:
    """Return hypotheses with their references, and their scores by sacrebleu."""
    pieces = draw.sample(PIECES, draw.choice([4, 12, 40]))
    hypotheses: list[str] = []
    references: list[list[str]] = []
    for _ in range(draw.randint(1, 5)):
        words = draw.choices(pieces, k=draw.choice([0, 1, 3, 8, 14]))
        share = draw.choice([0.0, 0.1, 0.3, 1.0])
        hypotheses.append(text(draw, words))
        references.append([])
        for _ in range(draw.choice([1, 1, 2, 3])):
            cut = words[: draw.randint(len(words) // 2, 99)]
            others = [draw.choice(pieces) if draw.random() < share else word for word in cut]
            references[-1].append(text(draw, others))
    width = max(map(len, references))
    sides = [[each[side] if side < len(each) else None for each in references] for side in range(width)]
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    bleu_score, chrf_score = bleu.corpus_score(hypotheses, sides), chrf.corpus_score(hypotheses, sides)
    return {
        "hypotheses": hypotheses,
        "references": references,
        "tokens": [Tokenizer13a()(each.rstrip()) for each in hypotheses],
        "bleu": round(bleu_score.score, 9),
        "chrf": round(chrf_score.score, 9),
        "lengths": [bleu_score.sys_len, bleu_score.ref_len],
        "signatures": [str(bleu.get_signature()), str(chrf.get_signature())],
    }


def comparison(number: int) -> dict[str, Any]:
    """Return scores of variants over seeds, and what statsmodels and rliable say of all pairs."""
    draw = np.random.default_rng(number)
    shape = int(draw.integers(2, 5)), int(draw.integers(3, 9))
    shift = draw.normal(0, 0.01, (shape[0], 1)) * draw.integers(0, 2)
    scores = np.round(0.8 + draw.normal(0, 0.02, (1, shape[1])) + shift + draw.normal(0, 0.01, shape), 4)
    pairs = []
    for first, second in itertools.combinations(range(shape[0]), 2):
        test = DescrStatsW(scores[first] - scores[second])
        share = probability_of_improvement(scores[first][:, None], scores[second][:, None])
        pairs.append({"interval": test.tconfint_mean(), "p": test.ttest_mean()[1], "improvement": float(share)})
    adjusted = multipletests([pair["p"] for pair in pairs], method="holm")[1]
    pairs = [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, adjusted, strict=True)]
    return {"scores": scores.tolist(), "pairs": pairs}


def crossed(number: int) -> dict[str, Any]:
    """Return a difference of each example in each seed, and the interval by the mean squares of statsmodels."""
    draw = np.random.default_rng(number)
    seeds, items = int(draw.integers(2, 6)), int(draw.integers(3, 12))
    sds = draw.choice([0.0, 0.3, 2.0], 3)
    noise = sds[0] * draw.normal(size=(seeds, 1)) + sds[1] * draw.normal(size=(1, items))
    differences = np.round(noise + (0.1 + sds[2]) * draw.normal(size=(seeds, items)) + draw.normal(), 4)
    rows = [(value, s, i) for (s, i), value in np.ndenumerate(differences)]
    data = {name: [row[column] for row in rows] for column, name in enumerate(("y", "seed", "item"))}
    table = anova_lm(statsmodels.formula.api.ols("y ~ C(seed) + C(item)", data).fit())
    of_seeds, of_items, of_both = table["mean_sq"]
    if of_seeds <= of_both:
        total, freedom = of_items, items - 1.0
    else:
        total = of_seeds - of_both + of_items
        share = min(1.0, of_seeds / total) ** 2 / (seeds - 1) + (of_items / total) ** 2 / (items - 1)
        freedom = 1 / share
    half = stats.t.isf(0.025, freedom) * math.sqrt(total / (seeds * items))
    mean = differences.mean()
    return {"differences": differences.tolist(), "interval": [mean - half, mean + half]}


def write(name: str, cases: list[dict[str, Any]]) -> None:
    """Write the cases to a file beside this one, a line each."""
    lines = ",\n".join(json.dumps(row) for row in cases)
    Path(__file__).with_name(name).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Write ``seqeval.json``, ``sacrebleu.json``, ``comparisons.json`` and ``crossed.json``."""
    warnings.simplefilter("ignore")
    tags = [case(name, random.Random(f"{name} {number}")) for name in LETTERS for number in range(CASES)]
    write("seqeval.json", tags)
    write("sacrebleu.json", [corpus(random.Random(f"sacrebleu {number}")) for number in range(CASES)])
    write("comparisons.json", [comparison(number) for number in range(CASES)])
    write("crossed.json", [crossed(number) for number in range(CASES)])


if __name__ == "__main__":
    main()
