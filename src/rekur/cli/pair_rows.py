"""The rows that ``rekur score`` writes of pairs of texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rekur._numbers import counted
from rekur.cli.saved import pairs_for
from rekur.data.example import warn
from rekur.errors import InputError, describe

#: pairs that are scored together
_CHUNK = 512


def scored_pairs(
    model: Any, files: list[Path], columns: dict[str, Any], reading: dict[str, Any], *, each: bool
) -> Iterator[dict[str, Any]]:
    """Yield the log-probability of each target given its source, and that of its tokens.

    Args:
        model: a model of pairs whose texts a search finds.
        files: two aligned files, or one table.
        columns: column choices that were given.
        reading: reading options that were given.
        each: whether the tokens are listed.
    """
    from rekur.runtime.pair_scores import pair_scores

    if not model.engine.program.searches:
        raise InputError(describe("bundle", model.task, "a task that writes texts", "To score answers: rekur evaluate"))
    corpus, features = pairs_for(model, files, columns, reading, use="evaluation"), model.features_
    most = model.search_.max_source
    pairs, blank, cut, longer = enumerate(corpus, start=1), 0, 0, 0
    while chunk := list(islice(pairs, _CHUNK)):
        rows = [
            ({"item": row if pair.id is None else pair.id, **number}, pair.item, target)
            for row, pair in chunk
            for number, target in _references(pair.label)
        ]
        steps, _ = model.encode([source for _, source, _ in rows])
        targets = [features.transform_target(target) for _, _, target in rows]
        longer += sum(most is not None and len(steps[row]) > most for row in range(len(steps)))
        for (names, source, target), ids, scores in zip(
            rows, targets, pair_scores(model.engine, steps, targets, most), strict=True
        ):
            blank += not source.strip()
            cut += features.decode_target(ids) != target
            row = {**names, **_row(scores, len(target), len(ids))}
            if each and scores is not None:
                pieces = features.target_pieces(ids)
                row["each"] = [list(pair) for pair in zip(pieces, map(float, scores), strict=True)]
            yield row
        sys.stdout.flush()
    if blank:
        warn(
            f"{corpus.name}: {counted(blank, 'pair')} {'has' if blank == 1 else 'have'} an empty source, and no score."
        )
    if longer:
        warn(f"{corpus.name}: the sources of {counted(longer, 'pair')} were cut after {counted(most, 'token')}.")
    if cut:
        warn(f"{corpus.name}: the targets of {counted(cut, 'pair')} were cut at --max-length tokens.")


def _references(label: str | tuple[str, ...]) -> list[tuple[dict[str, int], str]]:
    """Return each reference with its number from 1, which a single one lacks."""
    if isinstance(label, str):
        return [({}, label)]
    return [({"reference": number}, target) for number, target in enumerate(label, start=1)]


def _row(scores: Any, characters: int, tokens: int) -> dict[str, Any]:
    total = None if scores is None else float(np.sum(scores))
    return {
        "log_probability": total,
        "per_token": None if total is None else total / tokens,
        "per_character": None if total is None else total / max(1, characters),
        "tokens": tokens,
        "characters": characters,
    }
