"""``rekur quantize BUNDLE``: weights in fewer bits, with what they lose on the user's own data."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import saving, show
from rekur.cli.file_words import FilesOption
from rekur.cli.options import ANY_INPUT, BUNDLE, DOCUMENT, JSON, NUMBER, split_input, with_options
from rekur.cli.saved import data_for, reads_pairs
from rekur.data.inputs import name_of
from rekur.errors import SaveError, ToleranceError
from rekur.metrics import METRICS
from rekur.runtime import check_writable, model_of, read_bundle, write_quantised
from rekur.runtime.compare import ScoreLoss, bytes_of, score_loss, step_times

#: unit of a loss -> how scores are written
_SHOWN = {"points": "{:.2%}", "points of 100": "{:.2f}", "nats": "{:.4f}", "bits": "{:.4f}", "%": "{:.5g}"}


@click.command("quantize")
@with_options(BUNDLE)
@click.option(
    "--data",
    cls=FilesOption,
    multiple=True,
    required=True,
    metavar="FILE",
    help="Score on this file; of pairs SOURCE TARGET or one table, of texts any number of files.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the new bundle goes.")
@click.option(
    "--precision", type=click.Choice(["int8", "bfloat16"]), default="int8", show_default=True, help="Of the weights."
)
@click.option("--tolerance", type=NUMBER, help="Lost score that is allowed: by default 0.3 points, 0.01 nats or 1 %.")
@click.option("--overwrite", is_flag=True, help="Replace the bundle that stands there.")
@with_options(*ANY_INPUT, DOCUMENT)
@JSON
def command(
    bundle: Path,
    data: tuple[str, ...],
    out: Path,
    precision: str,
    tolerance: float | None,
    overwrite: bool,
    document: str | None,
    as_json: bool,
    **values: Any,
) -> int:
    """Make the weights of a saved model smaller: a byte each, or two. Writes a bundle that runs without PyTorch.

    Matrices become int8 with a scale for each row, or bfloat16; vectors stay as they are. Both models are scored on
    the same data, and nothing is written where more is lost than --tolerance: points (hundredths) of accuracy or BLEU,
    nats a token, or % of a regressor's error. The file is small; in memory, and in time, a step is that of float32.

    \b
    rekur quantize runs/reviews --data test.csv --out runs/reviews-int8
    rekur quantize runs/shakespeare --data valid.txt --precision bfloat16 --out runs/small
    rekur quantize runs/en-fr --data test.en test.fr --out runs/en-fr-int8
    """
    absolute = Path(os.path.abspath(out))
    check_writable(out, overwrite, inputs=(bundle, *data))
    if tolerance is not None:
        _check.number("--tolerance", tolerance, 0)
    source = read_bundle(bundle)
    original = model_of(source)
    corpus, name = data_for(original, data, *split_input(values), {"document": document}, option="--data")
    with tempfile.TemporaryDirectory(prefix="rekur-") as trial:
        made = write_quantised(source, Path(trial) / "bundle", precision)
        small = model_of(made)
        loss = score_loss(original, small, corpus)
        allowed = METRICS[loss.score].tolerance if tolerance is None else tolerance
        sizes = {"before": bytes_of(source), "after": bytes_of(made)}
    times = step_times([original.engine, small.engine])
    if not as_json:
        show.table(
            f"{bundle} in {precision}, on {name}: {loss.items:,} {original.target_.counted}", *_rows(loss, sizes, times)
        )
    _refuse_loss(loss, allowed, precision)
    names = [Path(name_of(file)).name for file in data]
    scores = {"precision": precision, "data": names, "tolerance": allowed, **loss.to_dict()}
    folder, reason = saving.save(
        lambda path: write_quantised(
            source, path, precision, scores=scores, overwrite=overwrite and path == out, carry_over=True
        ),
        out,
        absolute,
    )
    code = SaveError.exit_code if reason else 0
    if as_json:
        seconds = None if times is None else {"before": times[0], "after": times[1]}
        told = {"bundle": str(bundle), "out": str(folder), **scores, "bytes": sizes, "step_seconds": seconds}
        error = {"error": reason, "exit_code": code} if reason else {}
        show.as_json({**told, "fingerprint": read_bundle(folder).fingerprint, **error})
    else:
        files = "SOURCE TARGET" if reads_pairs(original) and len(data) > 1 else "FILE"
        click.echo(f"Saved in {folder}. Next:\n  rekur evaluate {folder} {files}")
    return code


def _refuse_loss(loss: ScoreLoss, allowed: float, precision: str) -> None:
    """Raise if more of the score is lost than is allowed."""
    if not loss.lost <= allowed:
        got = f"{loss.lost:.3g} {loss.unit} lost (95 % interval {_between(loss)})"
        other = "Try --precision bfloat16, or allow" if precision == "int8" else "Allow"
        fix = f"Nothing was written. {other} more with --tolerance."
        raise ToleranceError(f"{loss.score}: got {got}; expected at most {allowed:g}. {fix}")


def _between(loss: ScoreLoss) -> str:
    return f"{loss.interval[0]:.3g} – {loss.interval[1]:.3g}"


def _rows(loss: ScoreLoss, sizes: dict[str, dict[str, int]], times: list[float] | None) -> show.Rows:
    """Return the table: a row for the score, the bytes of the weights and of the bundle, and the time of a step."""
    shown = _SHOWN[loss.unit]
    lost = f"{loss.lost:+.3g} {loss.unit} lost ({_between(loss)})"
    rows: list[list[Any]] = [[loss.score, shown.format(loss.before), shown.format(loss.after), lost]]
    for part in ("weights", "bundle"):
        old, new = sizes["before"][part], sizes["after"][part]
        rows.append([f"{part}, bytes", f"{old:,}", f"{new:,}", f"{new / old:.3f} ×"])
    if times is None:
        rows.append(["a step", "", "", "none: the model reads whole sequences"])
    else:
        old_time, new_time = (1e6 * seconds for seconds in times)
        rows.append(["a step, µs", f"{old_time:.1f}", f"{new_time:.1f}", f"{new_time / old_time:.2f} ×"])
    return ["", "before", "after", "change (95 % interval)"], rows
