"""The language part of quality.py: losses within a time, a plain PyTorch model beside, and tunes that can be played."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional

from rekur import LanguageModel
from rekur.data import open_texts
from rekur.tasks.ngram import NGram

#: share of the time that training itself gets; the rest is for reading and scoring, which takes words longer
TRAINING = {"char": 0.93, "word": 0.90}
TUNES = 200


class Text(NamedTuple):
    """One text in a time: what it is made of, and what is to be reached."""

    name: str
    data: str
    ending: str
    tokens: str
    document: str
    minutes: float
    metric: str
    goal: float | None


TEXTS = (
    Text("tiny_shakespeare, 3 min", "tiny_shakespeare", "txt", "char", "file", 3, "loss", 1.54),
    Text("tiny_shakespeare, 20 min", "tiny_shakespeare", "txt", "char", "file", 20, "loss", 1.48),
    Text("wikitext2, 60 min", "wikitext2", "txt", "word", "file", 60, "perplexity", 105),
    Text("nottingham_abc, 15 min", "nottingham_abc", "abc", "char", "blank", 15, "loss", None),
)


def measure(text: Text, root: Path, seeds: range, changes: dict[str, Any], share: float) -> dict[str, Any]:
    """Train one model a seed within the time, and score each on the test part; a baseline and a plain model beside."""
    train, valid, test = (
        open_texts(root / text.data / f"{part}.{text.ending}", document=text.document)
        for part in ("train", "valid", "test")
    )
    limit = 60 * text.minutes * share
    for_training = TRAINING[text.tokens] * limit
    scores, seconds, tunes = [], [], []
    for seed in seeds:
        began = time.monotonic()
        model = LanguageModel(tokens=text.tokens, time_limit=for_training, seed=seed, baseline=False, **changes)
        model.fit_corpus(train, valid)
        seconds.append(time.monotonic() - began)
        found = model.evaluate_corpus(test)
        scores.append(found[text.metric])
        rows = model.history_.rows
        print(
            f"{text.name} seed {seed}: {text.metric} {scores[-1]:.4f} in {seconds[-1]:.0f} s, "
            f"{rows[-1]['step']} steps, "
            f"bits per character {found['bits_per_character']:.4f}, best of {len(rows)} evaluations "
            f"{model.result_.best_epoch}, valid {model.metrics_[text.metric]:.4f}",
            file=sys.stderr,
        )
        if text.data == "nottingham_abc":
            tunes.append(playable(model))
    row = {
        "data": text.name,
        "metric": text.metric,
        "score": round(float(np.mean(scores)), 4),
        "scores": [round(score, 4) for score in scores],
        "goal": text.goal,
        "n-gram": round(counted(model, train, test, text), 4),
        "seconds": round(max(seconds), 1),
        "limit": limit,
    }
    if any(tune is not None for tune in tunes):
        row["tunes accepted by abc2midi"] = tunes
    return row


def counted(model: LanguageModel, train: Any, test: Any, text: Text) -> float:
    """Return the score of an n-gram model on the same tokens."""
    from rekur.data import encode_texts

    ids = [np.asarray(encode_texts(part, model.features_).ids) for part in (train, test)]
    order = 3 if text.tokens == "word" else 5
    loss = float(NGram(order, model.features_.size).fit(ids[0]).nats(ids[1]).mean())
    return math.exp(loss) if text.metric == "perplexity" else loss


def playable(model: LanguageModel) -> float | None:
    """Return the share of tunes drawn that abc2midi takes without an error; None where it is not installed."""
    program = shutil.which("abc2midi")
    if program is None:
        print("abc2midi is not installed (Debian: abcmidi); no tunes are checked", file=sys.stderr)
        return None
    drawn = model.generate("", samples=TUNES, max_tokens=2000, temperature=0.5, stop=["\n\n"], seed=0)
    accepted = 0
    with tempfile.TemporaryDirectory() as folder:
        for sample in drawn:
            tune = Path(folder, f"{sample.number}.abc")
            tune.write_text(sample.text + "\n", encoding="utf-8")
            done = subprocess.run(
                [program, tune, "-o", tune.with_suffix(".mid")], capture_output=True, text=True, errors="replace"
            )
            accepted += done.returncode == 0 and not re.search(r"\bError\b", done.stdout + done.stderr)
    return accepted / len(drawn)


def plain(root: Path, seconds: float) -> float:
    """Return the test loss of a plain PyTorch character model, nn.LSTM 2 × 256, trained for so long."""
    train, valid, test = (
        (root / "tiny_shakespeare" / f"{part}.txt").read_text() for part in ("train", "valid", "test")
    )
    letters = sorted(set(train))
    ids = [torch.tensor([letters.index(letter) for letter in part]) for part in (train, valid, test)]
    torch.manual_seed(0)
    embed, layers, head = nn.Embedding(65, 64), nn.LSTM(64, 256, 2, batch_first=True), nn.Linear(256, len(letters))
    weights = [p for module in (embed, layers, head) for p in module.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=4e-3, fused=True)
    streams, began, best, at = ids[0][: len(ids[0]) // 32 * 32].view(32, -1), time.monotonic(), (9.0, 9.0), 0
    state: Any = None
    while time.monotonic() - began < seconds:
        if at + 129 > streams.shape[1]:
            at, state = 0, None
            best = min(best, tuple(score(embed, layers, head, part) for part in ids[1:]))
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * max(0.0, 1 - (time.monotonic() - began) / seconds)
        y, state = layers(embed(streams[:, at : at + 128]), state)
        state = tuple(part.detach() for part in state)
        loss = functional.cross_entropy(head(y).flatten(0, 1), streams[:, at + 1 : at + 129].flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        at += 128
    return min(best, tuple(score(embed, layers, head, part) for part in ids[1:]))[1]


@torch.no_grad()
def score(embed: nn.Module, layers: nn.Module, head: nn.Module, ids: torch.Tensor) -> float:
    """Return the mean loss of a text read in one go."""
    y, _ = layers(embed(ids[None, :-1]))
    return float(functional.cross_entropy(head(y[0]), ids[1:]))


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    head = ("data", "metric", "score", "each seed", "goal", "n-gram", "seconds", "limit")
    table = Table(*head, title="Language, defaults, on the test part", title_justify="left")
    for row in rows:
        reached = "" if row["goal"] is None else "[green]" if row["score"] <= row["goal"] else "[red]"
        each = " ".join(f"{s:.4f}" for s in row["scores"])
        cells = (each, row["goal"], row["n-gram"], row["seconds"], row["limit"])
        table.add_row(row["data"], row["metric"], f"{reached}{row['score']:.4f}", *map(str, cells))
    Console(width=120).print(table)
    for row in rows:
        if "tunes accepted by abc2midi" in row:
            print(f"{row['data']}: tunes accepted by abc2midi {row['tunes accepted by abc2midi']}")
        if "plain PyTorch" in row:
            print(f"{row['data']}: plain PyTorch, nn.LSTM 2 × 256, the same time: {row['plain PyTorch']:.4f}")
