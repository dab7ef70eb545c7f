"""The model card: what a person who finds the folder wants to know first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rekur._numbers import shown, shown_interval
from rekur.models import count_parameters

if TYPE_CHECKING:
    from rekur.tasks.estimator import Estimator

_HEADLINES = (
    "loss",
    "perplexity",
    "bits_per_character",
    "bits_per_byte",
    "accuracy",
    "macro_f1",
    "micro_f1",
    "subset_accuracy",
    "rmse",
    "mae",
    "r2",
    "log_loss",
    "calibration_error",
)


def card(task: Estimator, name: str) -> str:
    """Return the README of a bundle, in Markdown."""
    spec, result = task.model_.spec, task.result_
    article = "An" if spec.cell[0] in "lmr" else "A"
    live = task.model_.streams
    direction = "causal, can run live" if live else "bidirectional"
    counted = "items" if "items" in task.metrics_ else "tokens"
    lines = [
        "---",
        "library_name: rekur",
        "tags: [recurrent, " + task.task + "]",
        "---",
        f"# {name}",
        "",
        f"{article} {spec.cell} model ({spec.num_layers} × {spec.hidden_size}, {direction}) made by "
        f"[Rekur](https://pypi.org/project/rekur/) for the task *{task.task}*; "
        f"{count_parameters(task.model_):,} weights.",
        "",
        f"## Scores on the {task.metrics_['split']} {counted} ({task.metrics_[counted]:,})",
        "",
        *_table(task.metrics_),
        "",
        "## Input",
        "",
        *[f"- {what}: {how}" for what, how in task.features_.describe()],
        "",
        "## Training",
        "",
        f"- ended: {result.stopped}, after {result.seconds:.0f} s; weights of evaluation {result.best_epoch} kept",
        *[f"- {event}" for event in result.events],
        "",
        "## Use",
        "",
        "```sh",
        *_uses(task, name),
        "```",
        "",
    ]
    return "\n".join(lines)


def _uses(task: Estimator, name: str) -> list[str]:
    """Return the commands that a person tries first."""
    if task.task == "language":
        return [f'rekur generate {name} --prompt "…"', f"rekur score {name} FILE", f"rekur evaluate {name} FILE"]
    return [
        f"rekur predict {name} FILE",
        f"rekur {f'stream {name}' if task.model_.streams else f'evaluate {name} FILE'}",
    ]


def _table(metrics: dict[str, Any]) -> list[str]:
    baseline = metrics.get("baseline", {})
    rows = [
        "| | this model | 95 % interval | " + baseline.get("name", "baseline") + " |",
        "| --- | --- | --- | --- |",
    ]
    for key in _HEADLINES:
        if key in metrics:
            between = shown_interval(metrics.get(f"{key}_interval"))
            other = shown(baseline[key]) if key in baseline else ""
            rows.append(f"| {key.replace('_', ' ')} | {shown(metrics[key])} | {between} | {other} |")
    return rows
