"""A quantised bundle from a bundle: the same features and config, the program's weights in fewer bits, no model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rekur.errors import InputError, describe
from rekur.program.quantised import quantise
from rekur.program.stored_weights import pack_weights
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle
from rekur.runtime.save import write_bundle


def write_quantised(
    bundle: Bundle,
    folder: str | os.PathLike[str],
    precision: str,
    *,
    scores: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    carry_over: bool = False,
) -> Bundle:
    """Write the bundle of a quantised program, whole or not at all, and return it as read back from the disk.

    It holds the program, its weights and the features, and runs without PyTorch; the model for PyTorch stays in the
    bundle that it is made from, which its config names by the fingerprint.

    Args:
        bundle: what to quantise.
        folder: where the new bundle is to stand.
        precision: ``int8`` or ``bfloat16``.
        scores: what was measured of both, as plain JSON; kept as ``quantised`` in ``metrics.json``.
        overwrite: replace the bundle that stands there; default False.
        carry_over: as for :func:`rekur.runtime.write_bundle`.

    Raises:
        BundleError: the bundle has no program, or one of its files was changed.
        InputError: the folder is taken, the bundle is quantised already, or a weight is not finite.
        SaveError: the disk is full or the place may not be written; what stood there is unchanged.

    Example:
        >>> from rekur.runtime import read_bundle
        >>> write_quantised(read_bundle("runs/reviews"), "runs/small", "int8").quantised  # doctest: +SKIP
        'int8'
    """
    if os.path.realpath(folder) == os.path.realpath(bundle.folder):
        fix = "The model for PyTorch stays where it is; choose another folder."
        raise InputError(describe("folder", str(folder), "another folder than that of the bundle", fix))
    program, weights = quantise(*bundle.program(), precision)
    config = {key: value for key, value in bundle.config.items() if key not in layout.RESERVED}
    config[layout.QUANTISED] = {"precision": precision, "from": bundle.fingerprint}
    metrics = dict(bundle.metrics)
    if scores is not None:
        metrics[layout.QUANTISED] = dict(scores)
    return write_bundle(
        folder,
        config=config,
        weights=None,
        features=bundle.features(),
        metrics=metrics,
        history_rows=bundle.history(),
        card=_card(bundle, precision),
        files={
            layout.PROGRAM: program.to_json().encode(),
            layout.PROGRAM_WEIGHTS: pack_weights(program, weights),
            **{name: bundle.read(name) for name in layout.RIVAL_FILES if name in bundle.config["files"]},
        },
        overwrite=overwrite,
        carry_over=carry_over,
    )


def _card(bundle: Bundle, precision: str) -> str:
    """Return the bundle's card with a note on what was done to it; people may have taken it away."""
    path = bundle.folder / layout.CARD
    text = path.read_text(encoding="utf-8", errors="replace").rstrip() + "\n\n" if path.is_file() else ""
    return (
        f"{text}## Quantised\n\nThe weights are {precision}, made from the bundle of the fingerprint "
        f"{bundle.fingerprint}. The scores above are those of that bundle.\n"
    )
