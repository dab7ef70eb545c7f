"""The rivals of quality.py: plain models fitted on the same training part and scored on the same items.

Axes: N items, K scores, T steps, D channels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn
from torch.nn import functional

from rekur._ids import UNKNOWN
from rekur.data import Corpus, EncodedItems, Texts, encode_texts
from rekur.metrics import text_records, text_report
from rekur.runtime.ngram import NGram
from rekur.runtime.rival import rival_records
from rekur.tasks.language.language_recipe import BASELINE_ORDER


class Rival(NamedTuple):
    """A plain model's scores.

    Attributes:
        name: what it is.
        scores: by metric.
        seconds: of fitting and scoring.
    """

    name: str
    scores: dict[str, Any]
    seconds: float


def of_items(model: Any, train: Corpus, part: Corpus) -> list[Rival]:
    """Return the estimator's own rivals and, where it reads the items in another way, a scikit-learn pipeline."""
    (train_items, train_labels), (items, labels) = _read(train), _read(part)
    target = model.target_
    began, rivals = time.monotonic(), []
    train_set = _encoded(model, train, train_labels, target)
    part_set = _encoded(model, part, labels)
    for rival in model.make_rivals(train, train_set, target):
        rivals.append(Rival(rival.name, target.score(rival_records(rival, part_set, target)), time.monotonic() - began))
        began = time.monotonic()
    kind = model.features_.kind
    is_plain = not (target.per_step or target.ragged)
    pipeline = _pipeline(kind, train_items, is_class=target.kind == "label") if is_plain else None
    if pipeline is not None:
        began = time.monotonic()
        name, predict = pipeline
        outputs = predict(train_items, train_set.targets, items)
        scores = target.score(target.records(outputs.astype(np.float32), labels))
        rivals.append(Rival(name, scores, time.monotonic() - began))
    return rivals


def _encoded(model: Any, corpus: Corpus, labels: list[Any], target: Any = None) -> EncodedItems:
    """Return the items of a corpus as the network reads them, with their targets where a target is given."""
    inputs, contexts = corpus.encode(model.features_)
    targets = np.empty(0) if target is None else target.encode_items(labels, contexts, name=corpus.name)
    return EncodedItems(inputs, targets, np.arange(len(labels)), labels, contexts)


def _read(corpus: Corpus) -> tuple[list[Any], list[Any]]:
    """Return the items of a corpus and their labels."""
    pairs = [(example.item, example.label) for example in corpus]
    return [item for item, _ in pairs], [label for _, label in pairs]


def _pipeline(kind: str, items: list[Any], *, is_class: bool) -> tuple[str, Callable[..., Any]] | None:
    """Return name and prediction (N, K) of a pipeline; None for words and for series of different lengths."""
    if kind == "words":
        return None
    if kind == "series":
        if len({len(item) for item in items}) > 1:
            return None
        steps = [FunctionTransformer(_flat), SimpleImputer(), StandardScaler()]
        name = "all steps"
    elif np.median([len(item.split()) for item in items]) >= 3:
        steps, name = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)], "TF-IDF of 1 and 2 words"
    else:
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False, sublinear_tf=True)
        steps, name = [grams], "TF-IDF of 1 to 4 letters"
    linear = LogisticRegression(C=10.0, max_iter=3000) if is_class else Ridge(alpha=1.0)
    pipeline = make_pipeline(*steps, linear)

    def predict(train_items: list[Any], targets: Any, items: list[Any]) -> Any:
        pipeline.fit(train_items, targets)
        if is_class:
            return np.log(np.clip(pipeline.predict_proba(items), 1e-12, 1.0))
        return pipeline.predict(items)[:, None]

    return f"{name} + {'logistic' if is_class else 'ridge'} regression", predict


def _flat(items: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return series of one length as rows (N, T·D)."""
    return np.stack(items).reshape(len(items), -1)


def of_texts(model: Any, train: Texts, part: Texts) -> list[Rival]:
    """Return the n-gram model that is the estimator's own baseline."""
    began = time.monotonic()
    order, size = BASELINE_ORDER[model.tokens], model.features_.size
    counted = NGram(order, size).fit(np.asarray(encode_texts(train, model.features_).ids))
    tokens = encode_texts(part, model.features_)
    nats = counted.nats(np.asarray(tokens.ids)).astype(np.float32)
    scores = text_report(text_records(nats, tokens.ids == UNKNOWN, tokens.stretches))
    return [Rival(f"{order}-gram", scores, time.monotonic() - began)]


def plain_pytorch(train: Texts, valid: Texts, part: Texts, seconds: float) -> Rival:
    """Return a plain PyTorch model of characters, nn.LSTM 2 × 256, trained for so long and chosen on ``valid``."""
    parts = (train, valid) if part is valid else (train, valid, part)
    whole, *others = ("".join(piece for _, piece in text.pieces()) for text in parts)
    numbers = {letter: number for number, letter in enumerate(sorted(set(whole)))}
    ids, *held_out = (torch.tensor([numbers.get(letter, 0) for letter in text]) for text in (whole, *others))
    torch.manual_seed(0)
    embed, layers = nn.Embedding(len(numbers), 64), nn.LSTM(64, 256, 2, batch_first=True)
    head = nn.Linear(256, len(numbers))
    weights = [p for module in (embed, layers, head) for p in module.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=4e-3, fused=True)
    streams, began, at = ids[: len(ids) // 32 * 32].view(32, -1), time.monotonic(), 0
    state: Any = None

    @torch.no_grad()
    def loss_of(text: torch.Tensor) -> float:
        total, state = 0.0, None
        for inputs, targets in zip(text[:-1].split(1024), text[1:].split(1024), strict=True):
            y, state = layers(embed(inputs[None]), state)
            total += float(functional.cross_entropy(head(y[0]), targets, reduction="sum"))
        return total / (len(text) - 1)

    def losses() -> tuple[float, ...]:
        """Return the loss on the validation part, by which weights are chosen, and on the part that is scored."""
        return tuple(loss_of(text) for text in held_out)

    best: tuple[float, ...] = (math.inf,)
    while (spent := time.monotonic() - began) < seconds:
        if at + 129 > streams.shape[1]:
            at, state = 0, None
            best = min(best, losses())
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * max(0.0, 1 - spent / seconds)
        y, state = layers(embed(streams[:, at : at + 128]), state)
        state = tuple(array.detach() for array in state)
        loss = functional.cross_entropy(head(y).flatten(0, 1), streams[:, at + 1 : at + 129].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        at += 128
    loss = min(best, losses())[-1]
    scores = {"loss": loss, "perplexity": math.exp(loss), "bits_per_character": loss / math.log(2)}
    return Rival("plain PyTorch, nn.LSTM 2 × 256, the same time", scores, time.monotonic() - began)
