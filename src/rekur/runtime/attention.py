"""The attention of a model of pairs: how much each token of a source weighs for each token of a text.

Axes: N pairs, S source tokens, T target tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur._ids import BEGIN
from rekur.errors import InputError, describe
from rekur.targets.gallery import Grid


def attention_grids(
    features: Any, engine: Any, sources: Sequence[str], texts: Sequence[str], most: int | None = None
) -> list[Grid]:
    """Return the attention of pairs of texts: a row for each token of the text, a column for each of the source.

    Args:
        features: of pairs; see :class:`rekur.features.PairFeatures`.
        engine: a :class:`rekur.program.PairEngine`.
        sources: N texts; of a blank one a grid has no columns.
        texts: the target of each.
        most: tokens after which a source is cut; None for no limit.

    Raises:
        InputError: there are more or fewer sources than texts, or the program does not attend.
    """
    if len(sources) != len(texts):
        raise InputError(describe("texts", len(texts), f"{len(sources)}, one for each source"))
    steps = [features.encode(source).inputs["steps"][:most] for source in sources]
    targets = [features.transform_target(text) for text in texts]
    shares = engine.attention([np.append(BEGIN, ids) for ids in targets], engine.encode(steps))
    return [
        Grid("Attention", features.source_pieces(step), features.target_pieces(ids)[:-1], each[:-1])
        for step, ids, each in zip(steps, targets, shares, strict=True)
    ]
