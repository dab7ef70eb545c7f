"""The report of a search: its trials, important options and curves, in a single HTML file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rekur._clock import duration
from rekur._numbers import counted
from rekur._numbers import shown as shown_score
from rekur.errors import BundleError
from rekur.runtime import read_bundle
from rekur.study.figures import ACCENT, COLOURS, INK, new_figure
from rekur.study.page import Card, Head
from rekur.study.report import machine_facts, write_report
from rekur.study.space import Choices, Range
from rekur.study.trials import SearchResult, Trial, best_first, shown, shown_options

#: the page, in the folder of the search
REPORT = "search.html"
Table = tuple[str, Sequence[str], list[list[Any]]]
_PRUNED, _FAINT = COLOURS[4], "0.75"


def best_table(result: SearchResult, most: int = 10, *, across: bool = True) -> Table:
    """Return the best trials.

    Args:
        result: the result of the search.
        most: most trials.
        across: a row for each trial; False for a column for each, which fits a terminal.
    """
    names = [name for name in result.space if any(name in trial.options for trial in result.trials)]
    rows: list[list[Any]] = []
    for trial in best_first(result.trials)[:most]:
        number = f"{trial.number} (defaults)" if trial.defaults else str(trial.number)
        options = [shown(trial.options[name]) if name in trial.options else "" for name in names]
        rows.append([number, trial.score, *options, duration(trial.seconds)])
    head = ["trial", result.monitor.replace("_", " "), *[name.replace("_", " ") for name in names], "time"]
    if across:
        return "The best trials", head, rows
    turned = [list(column) for column in zip(head, *rows, strict=True)]
    return "The best trials", turned[0], turned[1:]


def importance_table(result: SearchResult) -> Table:
    """Return the importance of each option."""
    rows: list[list[Any]] = [[name.replace("_", " "), f"{share:.0%}"] for name, share in result.importance.items()]
    return "What mattered", ["option", "share of the differences it explains"], rows


def failed_table(result: SearchResult) -> Table:
    """Return the trials that failed, and why."""
    rows: list[list[Any]] = [[str(trial.number), trial.reason] for trial in result.trials if trial.state == "failed"]
    return "Trials that failed", ["trial", "why"], rows


def write_search_report(result: SearchResult, command: str = "") -> None:
    """Write ``search.html`` into the search's folder.

    Args:
        result: the search.
        command: as it was typed; may be empty.
    """
    tables = [best_table(result)]
    if result.importance:
        tables.append(importance_table(result))
    plots = [progress(result), curves(result)]
    space = [[name, str(dimension)] for name, dimension in result.space.items()]
    best = [] if result.best is None else sorted((name, shown(value)) for name, value in result.best.chosen.items())
    details: list[Table] = [
        ("What was searched", ["option", "range or choices"], space),
        ("Options of the best model", ["option", "value"], [list(row) for row in best]),
    ]
    if any(trial.state == "failed" for trial in result.trials):
        details.append(failed_table(result))
    write_report(
        result.folder / REPORT,
        title=f"{result.folder.name}: {counted(len(result.trials), 'trial')}",
        head=_head(result),
        tables=tables,
        plots=plots,
        small_plots=("Score over each option", slices(result)),
        notes=_CAVEATS,
        repeat=(command, machine_facts()),
        details=details,
    )


#: what a search does not tell
_CAVEATS = (
    "Scores are of the validation items, by which the best trial was chosen among many: they are too good. Items of "
    "their own tell how good it is: rekur evaluate.",
    "One seed of each trial: small differences between trials are due to chance. Whether one option is better than "
    "another: rekur compare.",
)


def _rival_of(result: SearchResult) -> dict[str, Any]:
    """Return the scores of the rival beside the best model; none where its bundle cannot be read."""
    try:
        rival: dict[str, Any] = read_bundle(result.bundle).metrics.get("rival", {})
    except BundleError:
        return {}
    return rival


def _head(result: SearchResult) -> Head | None:
    """Return the question and the answer, beside the defaults and the rival; None without a best trial."""
    if result.best is None or result.best.score is None:
        return None
    name, score = result.monitor.replace("_", " "), result.best.score
    options = shown_options(result.best.options) or result.defaults
    cards = [Card(f"trial {result.best.number}, {name}", shown_score(score), "the best")]
    told = f"Trial {result.best.number} is the best: {name} {shown_score(score)}"
    kind = ""
    defaults = next((trial.score for trial in result.trials if trial.defaults and trial.score is not None), None)
    if defaults is not None and not result.best.defaults:
        cards.append(Card(f"{result.defaults}, {name}", shown_score(defaults), "trial 0"))
        told = f"{told}, against {shown_score(defaults)} of {result.defaults}"
    told = f"{told}, with {options}." if not result.best.defaults else f"{told}, with {result.defaults}."
    rival = _rival_of(result)
    if (metric := result.monitor.removeprefix("valid_")) in rival:
        theirs = rival[metric]
        cards.append(Card(f"rival, {name}", shown_score(theirs), rival["name"], is_rival=True))
        kind = "" if theirs == score else "better" if (score > theirs) == result.larger_is_better else "worse"
        words = {"": "as good as", "better": "better than", "worse": "worse than"}[kind]
        told = f"{told} It is {words} the rival ({rival['name']}, {shown_score(theirs)})."
    question = f"Which options are best by {name}, of {counted(len(result.trials), 'trial')}?"
    return Head(question, told, kind, cards)


def progress(result: SearchResult) -> Figure:
    """Return the score of each trial in order, and the best so far."""
    figure, axes = new_figure(4.9, 3.3)
    finished = [trial for trial in result.trials if trial.score is not None]
    pruned = [trial for trial in result.trials if trial.state == "pruned" and trial.evaluations]
    axes.scatter(*_points(finished), s=26, color=ACCENT, label="finished", zorder=3)
    if pruned:
        axes.scatter(
            *_points(pruned), s=26, facecolors="none", edgecolors=_PRUNED, label="pruned, where it was", zorder=2
        )
    steps, best = [], math.nan
    for trial in finished:
        score = trial.score if trial.score is not None else math.nan
        pick = max if result.larger_is_better else min
        best = score if math.isnan(best) else pick(best, score)
        steps.append((trial.number, best))
    if steps:
        axes.step(*zip(*steps, strict=True), where="post", color=INK, linewidth=1.2, label="best so far")
    axes.set(xlabel="trial", ylabel=result.monitor.replace("_", " "), title="Trials in order")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.legend(frameon=False)
    _zoom_to_best(axes, result, *_points([*finished, *pruned]))
    return figure


def slices(result: SearchResult) -> list[Figure]:
    """Return the score of each trial over each option, a plot for each option."""
    names = list(result.importance) or list(result.space)
    names += [name for name in result.space if name not in names]
    return [_slice(result, name) for name in names]


def _slice(result: SearchResult, name: str) -> Figure:
    """Return the score of each trial over one option."""
    figure, axes = new_figure(4.4, 3.0)
    dimension = _with_all(result.space[name], [t.options.get(name) for t in result.trials if t.evaluations])
    places: list[float] = []
    heights: list[float] = []
    for state, colour in (("pruned", "none"), ("finished", ACCENT)):
        tried = [t for t in result.trials if t.state == state and t.evaluations]
        drawn = [t for t in tried if _has_place(dimension, t.options.get(name))]
        where = [_position(dimension, trial.options[name]) for trial in drawn]
        edges = _PRUNED if state == "pruned" else ACCENT
        axes.scatter(where, [_height(t) for t in drawn], s=24, facecolors=colour, edgecolors=edges, alpha=0.8)
        places, heights = places + where, heights + [_height(t) for t in drawn]
    if isinstance(dimension, Choices):
        axes.set_xticks(range(len(dimension.options)), [shown(value) for value in dimension.options])
        axes.set_xlim(-0.5, len(dimension.options) - 0.5)
    elif dimension.log and places:  # an axis of no points cannot be one of logarithms
        axes.set_xscale("log")
        ticks = [dimension.low, math.sqrt(dimension.low * dimension.high), dimension.high]
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        ends, beside = (min(*ticks, *places), max(*ticks, *places)), (dimension.high / dimension.low) ** 0.04
        axes.set_xlim(ends[0] / beside, ends[1] * beside)  # so that a point at an end is seen whole
        axes.xaxis.set_minor_locator(NullLocator())
    elif dimension.whole:
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set(xlabel=name.replace("_", " "), ylabel=result.monitor.replace("_", " "))
    _zoom_to_best(axes, result, places, heights)
    return figure


def curves(result: SearchResult) -> Figure:
    """Return the monitored score of every trial over its evaluations; the best one on top."""
    figure, axes = new_figure(4.9, 3.3)
    named: set[str] = set()
    for trial in result.trials:
        if trial.evaluations and trial != result.best:
            colour = _PRUNED if trial.state == "pruned" else _FAINT
            label: str = "" if trial.state in named else trial.state
            named.add(trial.state)
            _curve(axes, trial.evaluations, color=colour, linewidth=0.9, label=label)
    if result.best is not None:
        label = f"trial {result.best.number}, the best"
        _curve(axes, result.best.evaluations, color=ACCENT, linewidth=2.0, label=label)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set(xlabel="evaluation", ylabel=result.monitor.replace("_", " "), title="How trials went")
    axes.legend(frameon=False)
    return figure


def _curve(axes: Any, scores: Sequence[float], **look: Any) -> None:
    """Draw a line over evaluations, or a point for a single one."""
    axes.plot(range(1, len(scores) + 1), scores, marker="o" if len(scores) == 1 else "", markersize=4, **look)


def _points(trials: Sequence[Trial]) -> tuple[list[int], list[float]]:
    return [trial.number for trial in trials], [_height(trial) for trial in trials]


def _height(trial: Trial) -> float:
    """Return a trial's score, or the last evaluation of a pruned trial."""
    return trial.score if trial.score is not None else trial.evaluations[-1]


def _with_all(dimension: Range | Choices, tried: Iterable[Any]) -> Range | Choices:
    """Return choices with the values that were tried beside them, such as a default."""
    if not isinstance(dimension, Choices):
        return dimension
    others = (value for value in tried if value is not None and not dimension.contains(value))
    return Choices((*dimension.options, *dict.fromkeys(others)))


def _has_place(dimension: Range | Choices, value: Any) -> bool:
    """Return whether a plot has a place for a value; a default may lie outside a range."""
    if isinstance(dimension, Choices):
        return dimension.contains(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and (value > 0 or not dimension.log)


def _position(dimension: Range | Choices, value: Any) -> float:
    return float(dimension.options.index(value)) if isinstance(dimension, Choices) else float(value)


def _zoom_to_best(axes: Any, result: SearchResult, x: Sequence[float], y: Sequence[float]) -> None:
    """Zoom to scores near the best; points far off become triangles at the edge.

    Args:
        axes: the axes with the points drawn.
        result: the search.
        x: positions of the points, (N,).
        y: their scores, (N,).
    """
    scores = sorted(trial.score for trial in result.trials if trial.score is not None)
    if len(scores) < 4:
        return
    middle = scores[len(scores) // 2]
    best, worst = (scores[-1], scores[0]) if result.larger_is_better else (scores[0], scores[-1])
    reach = max(abs(best - middle) * 3, 1e-9)
    end = max(worst, best - reach) if result.larger_is_better else min(worst, best + reach)
    if best == end:
        return
    margin = 0.06 * abs(best - end)
    low, high = min(best, end) - margin, max(best, end) + margin
    axes.set_ylim(low, high)
    for edge, marker in ((low, "v"), (high, "^")):
        beyond = [
            position for position, score in zip(x, y, strict=True) if (score < low if edge == low else score > high)
        ]
        if beyond:
            axes.scatter(beyond, [edge] * len(beyond), marker=marker, s=26, color=_PRUNED, clip_on=False, zorder=4)
