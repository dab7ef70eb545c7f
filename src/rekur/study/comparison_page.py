"""The page of a comparison: the answer, the rival, tables, curves, examples, caveats, how to repeat it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rekur._files import write_file
from rekur._numbers import counted, shown, shown_interval
from rekur.runtime.examples import ShownItem
from rekur.study.comparison import ComparisonResult, Table
from rekur.study.comparison_figures import curves, scores_by_cost
from rekur.study.costs import reached
from rekur.study.markdown import markdown_page
from rekur.study.model_comparison import ModelComparison
from rekur.study.page import Card, Head, notes_part, plots_part, repeat_part, table_part
from rekur.study.report import examples_parts, machine_facts, write_page
from rekur.targets.gallery import Gallery

#: the page and its text, in the folder of a comparison
PAGE, TEXT = "report.html", "report.md"
#: variants whose scores stand at the head of the page
_MOST_CARDS = 4
_COLUMNS = {
    "beats it": "share of pairs of runs, one of each variant, in which it is better than the best variant",
    "weights": "outside embeddings and the output layer",
    "memory": "the most that the process had while it trained",
}


@dataclasses.dataclass
class PageFacts:
    """What a page tells beside the result.

    Attributes:
        command: as it was typed; may be empty.
        data: name -> fingerprint of the data.
        wrong: items that the best variant gets wrong.
        unsure: items that it is unsure of.
        model: the run that these are of, in words.
        drawn: a gallery that draws items, where these are not listed; else None.
    """

    command: str = ""
    data: Mapping[str, str] = dataclasses.field(default_factory=dict)
    wrong: Sequence[ShownItem] = ()
    unsure: Sequence[ShownItem] = ()
    model: str = ""
    drawn: Gallery | None = None


def write_comparison(result: ComparisonResult, folder: Path, facts: PageFacts) -> None:
    """Write the page of a comparison and the same as Markdown into its folder.

    Args:
        result: the comparison.
        folder: where both are written.
        facts: what the page tells beside it.

    Raises:
        SaveError: a file cannot be written; an older one is unchanged.
    """
    title, head = f"Comparison: rekur {result.task}", _head(result)
    plots = curves(result) if result.histories else []
    parts = [table_part(*table, note=note) for table, note in _tables(result)]
    if plots:
        note = "Lines are means over seeds. Bands, of validation, reach from the lowest run to the highest."
        parts.append(plots_part(plots, "How training went", note))
    if costs := scores_by_cost(result):
        parts.append(plots_part(costs, "Score and cost", cost_note(result), small=True))
    parts += examples_parts(facts.wrong, facts.unsure, facts.model, facts.drawn)
    parts += [notes_part("What to keep in mind", caveats(result)), repeat_part(facts.command, _repeat(result, facts))]
    parts.append(table_part(*_run_table(result)))
    write_page(folder / PAGE, title, head, parts)
    items = [("Most surely wrong", facts.wrong), ("Most unsure, right or wrong", facts.unsure)]
    drawn = [] if facts.drawn is None else facts.drawn.tables()
    tables = [*_tables(result), *((table, facts.model) for table in drawn), (_run_table(result), "")]
    text = markdown_page(head, tables, items, facts.model, caveats(result), facts.command, _repeat(result, facts))
    write_file(folder / TEXT, text.encode("utf-8", "backslashreplace"), overwrite=True)


def cost_note(result: ComparisonResult) -> str:
    """Return what the plots of scores over costs show."""
    has_rival = result.metric in (result.rival or {})
    return f"Bars are 95 % intervals{'; the dotted line is the rival' if has_rival else ''}."


def _head(result: ComparisonResult) -> Head:
    """Return the question, the answer, and the best scores beside that of the rival."""
    score, cards = result.metric.replace("_", " "), []
    for number in result.ranked()[:_MOST_CARDS]:
        summary = result.statistics.variants[number]
        below = f"95 % interval {shown_interval(summary.interval)}" if summary.interval else "one run: no interval"
        cards.append(Card(f"{result.variants[number].name}, {score}", shown(summary.mean or 0.0), below))
    rival = result.rival or {}
    if result.metric in rival:
        cards.append(Card(f"rival, {score}", shown(rival[result.metric]), rival["name"], is_rival=True))
    names = [variant.name for variant in result.variants]
    listed = ", ".join(names[:-1]) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 6} more"
    which = f"{listed} or {names[-1]}"
    on = f" on {result.items:,} {result.split} {result.counted}" if result.items else ""
    best = result.ranked()[:1]
    is_clear = len(result.ranked()) > 1 and all(
        result.pair(best[0], other).verdict == "better" for other in result.ranked()[1:]
    )
    return Head(
        f"Which is best{f' by {score}' if score else ''}{on}: {which}?",
        result.answer,
        kind_of(result, is_clear=is_clear),
        cards,
    )


def kind_of(result: ComparisonResult | ModelComparison, *, is_clear: bool) -> str:
    """Return whether an answer is bad news, as where the best loses to the rival, or good, where it is clear."""
    rival, ranked = (result.rival or {}).get(result.metric), result.ranked()
    mean = result.statistics.variants[ranked[0]].mean if ranked else None
    if rival is not None and mean is not None:
        ahead = mean - rival if result.statistics.larger_is_better else rival - mean
        if ahead < 0:
            return "worse"
    return "better" if is_clear else ""


def _tables(result: ComparisonResult) -> list[tuple[Table, str]]:
    """Return the tables, each with a note."""
    scores, *others = result.tables()
    title, head, rows = scores
    rival = (result.rival or {}).get(result.metric)
    if rival is not None:
        beside = [_beside(result, row[1], rival) for row in rows[:-1]] + [""]
        rows = [[*row[:3], more, *row[3:]] for row, more in zip(rows, beside, strict=True)]
        head = (*head[:3], "beside the rival", *head[3:])
    notes = {"Costs": _cost_note(result)}
    tables = [((title, head, rows), f"Beats it: {_COLUMNS['beats it']}.")]
    for table in others:
        if table[0].startswith("Differences"):
            table = _with_improvement(result, table)
        tables.append((table, notes.get(table[0], "")))
    return tables


def _beside(result: ComparisonResult, mean: float | None, rival: float) -> str:
    """Return the difference of a score to that of the rival, in words."""
    if mean is None:
        return ""
    if mean == rival:
        return "equal"
    is_better = (mean > rival) == result.larger_is_better
    return f"{result.amount(mean - rival)} {'better' if is_better else 'worse'}"


def _with_improvement(result: ComparisonResult, table: Table) -> Table:
    """Return the table of differences with the probability of improvement of each pair."""
    title, head, rows = table
    shares = [pair.improvement for pair in result.statistics.pairs if pair.p is not None]
    wide = [
        [*row[:3], "" if share is None else f"{share:.0%}", *row[3:]] for row, share in zip(rows, shares, strict=True)
    ]
    return title, (*head[:3], "beats second", *head[3:]), wide


def _run_table(result: ComparisonResult) -> Table:
    """Return a row for each run."""
    rows: list[list[Any]] = []
    for run in result.runs:
        time = result.seconds_to_goal(run)
        rows.append(
            [
                result.variants[run.variant].name,
                str(run.seed),
                run.score,
                run.seconds,
                time,
                run.parameters or "",
                run.state if run.state != "finished" else run.reason,
            ]
        )
    head = (
        "variant",
        "seed",
        result.metric.replace("_", " ") or "score",
        "seconds",
        f"to {result.goal}",
        "weights",
        "ended",
    )
    return "All runs", head, rows


def _cost_note(result: ComparisonResult) -> str:
    """Return what the columns of the table of costs mean."""
    step = "A step is one of a live sequence with its output. " if "a step" in result.cost_table()[1] else ""
    goal = result.goal.score
    time = "" if goal is None else f"“To {shown(goal)}” is the time until a run had this validation score. "
    if any("/" in reached(result.costs(k), len(result.runs_of(k))) for k in result.ranked()):
        time = f"{time}In brackets: how many runs reached it. "
    return f"{time}{step}Memory: {_COLUMNS['memory']}. Weights: {_COLUMNS['weights']}."


def caveats(result: ComparisonResult) -> list[str]:
    """Return what a reader should keep in mind, a sentence each."""
    notes = []
    if result.split == "validation":
        notes.append("Scores are of the validation data, which also chose the weights of each run: they are too good.")
    elif result.split == "out-of-fold":
        notes.append("Scores are out of fold: each training item is scored by a network that did not see it.")
    elif result.split == "test":
        notes.append("Test data were read once, after all runs.")
    seeds = len({run.seed for run in result.runs})
    if seeds == 1:
        notes.append("One seed: there is no interval and no verdict, and another seed may turn the order.")
    elif seeds:
        notes.append(
            f"{counted(seeds, 'seed')} of each variant; intervals are over other seeds and other items of the same "
            "kind, not over other data sets, budgets or options."
        )
    pairs: dict[str, list[str]] = {}
    for pair in result.statistics.pairs:
        names = [result.variants[number].name for number in (pair.first, pair.second)]
        pairs.setdefault(result.named(pair.note), []).append(" - ".join(names))
    notes += [f"{note[:1].upper()}{note[1:]} ({'; '.join(names)})." for note, names in pairs.items() if note]
    odd = [f"{variant.name}: {variant.note}." for variant in result.variants if variant.note]
    if result.equal == "hidden":
        notes.append("Models have equal hidden sizes; all other options are equal.")
    else:
        aim = "Hidden sizes give all models as many weights outside embeddings and the output layer, within 2 %"
        notes.append(f"{aim}{', but for these:' if odd else '; all other options are equal.'}")
    notes += odd
    notes.append("Times are of this machine, and other programs on it slow them; runs took turns in a random order.")
    if result.rival is None:
        notes.append("No rival was scored: how good a plain model is on these items is not known.")
    if result.ended == "interrupted":
        notes.append("The comparison was interrupted; the same command continues it.")
    return notes


def _repeat(result: ComparisonResult, facts: PageFacts) -> list[tuple[str, str]]:
    options = "; ".join(
        f"{variant.name}: {', '.join(f'{name} {value}' for name, value in variant.options.items())}"
        for variant in result.variants
    )
    seeds = ", ".join(map(str, sorted({run.seed for run in result.runs})))
    data = [(f"{name} data, SHA-256", mark) for name, mark in facts.data.items()]
    return [*data, ("seeds", seeds), ("variants", options), *machine_facts()]
