"""The ends of the training series in a bundle, from which a prediction goes on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rekur._history import History
from rekur._tensors import pack, unpack
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle

_ARRAYS = ("values", "past", "future", "static")


def series_files(histories: Sequence[History], steps: int) -> dict[str, bytes]:
    """Return the files that keep the last ``steps`` steps of each series, with all covariates that are known ahead."""
    ends = [history.part(max(0, len(history) - steps), len(history), history.known_horizon) for history in histories]
    arrays = {name: np.concatenate([np.atleast_1d(getattr(end, name)) for end in ends]) for name in _ARRAYS}
    saved = [{**end.to_dict(), "rows": [len(getattr(end, name)) for name in _ARRAYS]} for end in ends]
    return {layout.SERIES: layout.render({"series": saved}), layout.SERIES_ARRAYS: pack("series", arrays)}


def kept_series(bundle: Bundle) -> list[History]:
    """Return the ends of the training series; none where the bundle keeps none.

    Raises:
        BundleError: a file of them is damaged.
    """
    if layout.SERIES not in bundle.config["files"]:
        return []
    path = bundle.folder / layout.SERIES
    saved = layout.parse(path, bundle.read(layout.SERIES))
    try:
        arrays, starts = unpack(bundle.read(layout.SERIES_ARRAYS)), dict.fromkeys(_ARRAYS, 0)
        histories = []
        for each in saved["series"]:
            rows = dict(zip(_ARRAYS, each.pop("rows"), strict=True))
            parts = {name: arrays[name][starts[name] : starts[name] + count] for name, count in rows.items()}
            histories.append(History.from_dict(each, **parts))
            starts = {name: starts[name] + count for name, count in rows.items()}
        return histories
    except (KeyError, TypeError, ValueError) as error:
        raise layout.damaged(path, f"series without {error}", "what this Rekur wrote") from error
