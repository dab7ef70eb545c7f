"""The model card: what a person who finds the folder wants to know first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rekur._numbers import shown, shown_interval
from rekur.features import Features
from rekur.metrics import METRICS
from rekur.models.branch_spec import GRID
from rekur.program.cells import TRANSFORMER
from rekur.runtime.rival import rival_metrics


def card(name: str, config: Mapping[str, Any], features: Features, metrics: Mapping[str, Any]) -> str:
    """Return the README of a bundle, in Markdown.

    Args:
        name: of the bundle.
        config: the configuration of the bundle.
        features: the fitted features.
        metrics: the scores on validation items.
    """
    task, spec, training = config["task"], config["model"], config["training"]
    kind, of_table = config["targets"]["kind"], bool(config.get("columns", {}).get("columns"))
    causal = spec.get("causal", not spec.get("bidirectional"))
    live = causal and kind != "text"
    direction = f"causal{', can run live' if live else ''}" if causal else "bidirectional"
    if spec.get("cell") == TRANSFORMER:
        direction = "neither exported nor run live"
    counted = "items" if "items" in metrics else "tokens"
    lines = [
        "---",
        "library_name: rekur",
        f"tags: [recurrent, {task}]",
        "---",
        f"# {name}",
        "",
        f"{_model(spec)}, {direction}) made by "
        f"[Rekur](https://pypi.org/project/rekur/) for the task *{task}*; "
        f"{training['parameters']:,} weights.",
        "",
        f"## Scores on the {metrics['split']} {counted} ({metrics[counted]:,})",
        "",
        *(["Items are weighted by `sample_weight`, for this model and the other alike.", ""] * ("weighted" in metrics)),
        *_table(metrics),
        "",
        *_weights(spec, metrics.get("parts", [])),
        *_signatures(metrics),
        "## Input",
        "",
        *[f"- {name}: {text}" for name, text in features.describe()],
        "",
        "## Training",
        "",
        f"- ended: {training['stopped']}, after {training['seconds']:.0f} s; "
        f"weights of evaluation {training['best_epoch']} kept",
        *[f"- {event}" for event in training["events"]],
        *_again(training.get("trained_again", 0)),
        "",
        "## Use",
        "",
        "```sh",
        *_uses(name, kind, live, of_table=of_table, keeps=_needs_no_file(config)),
        "```",
        "",
    ]
    return "\n".join(lines)


def _again(items: int) -> list[str]:
    """Return a line on the items that the model was trained again on; none for 0."""
    told = "those that validated included, for as long; the scores are of the model before"
    return [f"- trained again on all {items:,} items, {told}"] if items else []


def _uses(name: str, kind: str, live: bool, *, of_table: bool, keeps: bool) -> list[str]:
    """Return the commands that a person tries first, by the kind of the target; some need no file."""
    if kind == "next":
        return [f'rekur generate {name} --prompt "…"', f"rekur score {name} FILE", f"rekur evaluate {name} FILE"]
    if kind == "text" and not of_table:
        return [f"rekur predict {name} SOURCE", f"rekur evaluate {name} SOURCE TARGET"]
    return [
        *([f"rekur predict {name}"] if keeps else []),
        f"rekur predict {name} FILE",
        f"rekur {f'stream {name}' if live else f'evaluate {name} FILE'}",
    ]


def _needs_no_file(config: Mapping[str, Any]) -> bool:
    """Return whether the ends of series that a bundle keeps are all that a prediction needs."""
    columns = config.get("columns", {}).get("columns") or {}
    return bool(config.get("options", {}).get("keep_history")) and not columns.get("future")


def _signatures(metrics: Mapping[str, Any]) -> list[str]:
    """Return how scores that have a signature are computed, a line each."""
    lines = [f"- {name}: `{metrics[f'{name}_signature']}`" for name in METRICS if f"{name}_signature" in metrics]
    return [*lines, ""] if lines else []


def _model(spec: Mapping[str, Any]) -> str:
    """Return a network in words, without the closing bracket."""
    many = f"{spec['members']} members of " if spec.get("members", 1) > 1 else ""
    if "cell" not in spec:
        return f"A {spec['network']} model ({many}{spec['channels']} channels and a GRU of {spec['hidden_size']}"
    article = "An" if spec["cell"][0] in "lmr" else "A"
    return f"{article} {spec['cell']} model ({many}{spec['num_layers']} × {spec['hidden_size']}"


def _weights(spec: Mapping[str, Any], parts: list[Any]) -> list[str]:
    """Return a line on the weights of the parts of the answer; none where a network answers alone."""
    if not parts:
        return []
    ridge = (spec.get("branch") or {"quarters": 0})["quarters"] / GRID
    return [f"The answer is {1 - ridge:.0%} network and {ridge:.0%} ridge on random convolutions.", ""]


def _table(metrics: Mapping[str, Any]) -> list[str]:
    """Return the scores of the model and its interval, of each part of it alone, and of the rivals."""
    rival = rival_metrics(metrics)
    parts = [{**part, "name": f"{part['name']} alone"} for part in metrics.get("parts", [])]
    others = [*parts, {"name": "rival", **rival}, *rival.get("others", [])]
    rows = [
        "| | this model | 95 % interval | " + " | ".join(each["name"] for each in others) + " |",
        "| --- | --- | --- |" + " --- |" * len(others),
    ]
    for key in METRICS:
        if metrics.get(key) is not None:
            between = shown_interval(metrics.get(f"{key}_interval"))
            scores = [each.get(key) for each in others]
            cells = ["" if score is None or math.isnan(score) else shown(score) for score in scores]
            rows.append(f"| {key.replace('_', ' ')} | {shown(metrics[key])} | {between} | {' | '.join(cells)} |")
    return rows
