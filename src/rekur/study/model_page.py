"""The page of a comparison of saved models: the answer, the rival, tables, curves, costs, examples and caveats."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rekur._clock import short_time
from rekur._files import write_file
from rekur._numbers import shown, shown_interval, shown_size
from rekur.errors import DataWarning, InputError, describe
from rekur.runtime.bundle import read_bundle
from rekur.runtime.examples import Examples
from rekur.study.comparison import ComparisonResult, Table
from rekur.study.comparison_figures import curves, scores_by_cost
from rekur.study.comparison_folder import RESULT, Run
from rekur.study.comparison_page import PAGE, TEXT, PageFacts, cost_note, kind_of
from rekur.study.markdown import markdown_page
from rekur.study.measures import bundle_bytes, speed_of
from rekur.study.model_comparison import ONE_RUN, ModelComparison
from rekur.study.page import Card, Head, is_report, notes_part, plots_part, repeat_part, table_part
from rekur.study.report import examples_parts, machine_facts, write_page
from rekur.study.variants import VariantSpec
from rekur.targets.gallery import Galleries

#: items of each kind that are shown
_MOST = 8
#: models that a question names
_NAMED = 6


def check_page_folder(folder: Path) -> None:
    """Raise unless a folder is new, empty, or holds an earlier page and nothing else.

    Raises:
        InputError: something else is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        expected = "the path of a folder (a file has this name)"
        raise InputError(describe("--out", str(folder), expected, "Choose another."))
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    page = folder / PAGE
    is_ours = page.is_file() and is_report(page.read_bytes()[:1000])
    if names and not (is_ours and names <= {PAGE, TEXT, RESULT}):
        expected = f"a new folder, or one with a page of saved models alone ('{min(names - {PAGE} or names)}' is there)"
        raise InputError(describe("--out", str(folder), expected, "Choose another folder."))


def write_models(
    result: ModelComparison,
    folder: Path,
    bundles: Sequence[Path],
    models: Sequence[Any],
    corpora: Sequence[Any],
    *,
    command: str = "",
) -> ModelComparison:
    """Write the page of a comparison of saved models, the same as Markdown, and all numbers as JSON.

    Args:
        result: the comparison.
        folder: where they are written.
        bundles: the folders of the models.
        models: as :func:`rekur.runtime.load` returns them.
        corpora: the items, as each of them reads them.
        command: as it was typed; may be empty.

    Returns:
        the comparison with the rival that a bundle keeps, that of the best model first.

    Raises:
        SaveError: a file cannot be written; an older one is unchanged.
    """
    best = result.ranked()[0]
    facts, rival = _facts(result.short_names[best], models[best], corpora[best])
    others = [number for number, model in enumerate(models) if model.rival() is not None]
    if rival is None and others:
        rival = models[others[0]].evaluate_corpus(corpora[others[0]])["rival"]
    result = dataclasses.replace(result, rival=rival)
    drawn = _as_runs(result, bundles, models, corpora)
    head, repeat = _head(result, corpora[0].name), _repeat(result, bundles)
    tables = [(table, "") for table in result.tables()]
    tables.insert(1, (_cost_table(drawn), "Training as its bundle tells it; all else as measured on this machine now."))
    parts = [table_part(*table, note=note) for table, note in tables]
    if drawn.histories:
        parts.append(plots_part(curves(drawn), "How training went", "A line is the one run of a model."))
    if costs := scores_by_cost(drawn):
        parts.append(plots_part(costs, "Score and cost", cost_note(drawn), small=True))
    parts += examples_parts(facts.wrong, facts.unsure, facts.model, facts.drawn)
    notes = _caveats(result)
    parts += [notes_part("What to keep in mind", notes), repeat_part(command, repeat)]
    write_page(folder / PAGE, f"Saved models: {result.task}", head, parts)
    items = [("Most surely wrong", facts.wrong), ("Most unsure, right or wrong", facts.unsure)]
    shown_items = [] if facts.drawn is None else [(table, facts.model) for table in facts.drawn.tables()]
    text = markdown_page(head, [*tables, *shown_items], items, facts.model, notes, command, repeat)
    write_file(folder / TEXT, text.encode("utf-8", "backslashreplace"), overwrite=True)
    numbers = json.dumps(result.to_dict(), ensure_ascii=False, indent=1, allow_nan=False)
    write_file(folder / RESULT, numbers.encode("utf-8", "surrogatepass"), overwrite=True)
    return result


def _facts(name: str, model: Any, corpus: Any) -> tuple[PageFacts, dict[str, Any] | None]:
    """Return the items that a model gets wrong or is unsure of, and the scores of its rival."""
    examples = Examples(model.target_, _MOST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # they were given when the records were made
        report = model.evaluate_corpus(corpus, Galleries(examples.members))
        wrong, unsure = examples.wrong(model, corpus), examples.unsure(model, corpus)
    told = f"As {name} answers, the best of these models."
    return PageFacts(wrong=wrong, unsure=unsure, drawn=examples.drawn, model=told), report.get("rival")


def _as_runs(
    result: ModelComparison, bundles: Sequence[Path], models: Sequence[Any], corpora: Sequence[Any]
) -> ComparisonResult:
    """Return saved models as variants of one run each, for tables and plots of costs."""
    runs, histories = [], {}
    for number, (folder, model, corpus) in enumerate(zip(bundles, models, corpora, strict=True)):
        bundle = read_bundle(folder)
        training = bundle.config.get("training", {})
        run = Run(number, 0, "finished", result.statistics.variants[number].mean, training.get("seconds", 0.0))
        sizes = {"parameters": training.get("parameters", 0), "bundle_bytes": bundle_bytes(folder)}
        runs.append(dataclasses.replace(run, **sizes, **vars(speed_of(model, corpus))))
        if rows := bundle.history():
            histories[number, 0] = rows
    return ComparisonResult(
        task=result.task,
        metric=result.metric,
        split="test",
        items=result.items,
        counted=result.counted,
        variants=tuple(VariantSpec(name, {}) for name in result.short_names),
        runs=tuple(runs),
        statistics=result.statistics,
        rival=None if result.rival is None else dict(result.rival),
        equal="",
        timed=False,
        ended="finished",
        folder=None,
        histories=histories,
    )


def _head(result: ModelComparison, data: str) -> Head:
    """Return the question, the answer, and the scores beside that of the rival."""
    score, ranked = result.metric.replace("_", " "), result.ranked()
    cards = []
    for number in ranked[:4]:
        model = result.statistics.variants[number]
        below = f"95 % interval {shown_interval(model.interval)}"
        cards.append(Card(f"{result.short_names[number]}, {score}", shown(model.mean or 0.0), below))
    rival = result.rival or {}
    if result.metric in rival:
        cards.append(Card(f"rival, {score}", shown(rival[result.metric]), rival["name"], is_rival=True))
    every = result.short_names
    *names, last = every if len(every) <= _NAMED else (*every[: _NAMED - 1], "others")
    is_clear = all(result.pair(ranked[0], other).verdict == "better" for other in ranked[1:])
    question = f"Which is best by {score} on the {result.items:,} {result.counted} of {Path(data).name}"
    return Head(f"{question}: {', '.join(names)} or {last}?", result.answer, kind_of(result, is_clear=is_clear), cards)


def _cost_table(drawn: ComparisonResult) -> Table:
    """Return what each model costs."""
    ranked = drawn.ranked()
    costs = [drawn.costs(number) for number in ranked]
    of_steps = all(each.step_seconds is not None for each in costs)
    rows: list[list[Any]] = []
    for number, cost in zip(ranked, costs, strict=True):
        latency = cost.step_seconds if of_steps else cost.item_seconds
        rows.append(
            [
                drawn.variants[number].name,
                short_time(cost.seconds) if cost.seconds else "",
                f"{cost.parameters:,}" if cost.parameters else "",
                shown_size(cost.bundle_bytes or 0),
                "" if latency is None else short_time(latency),
                "" if cost.per_second is None else f"{cost.per_second:,.0f}",
            ]
        )
    step = "a step" if of_steps else "an item"
    return "Costs", ("model", "to train", "weights", "bundle", step, f"{drawn.counted}/s"), rows


def _caveats(result: ModelComparison) -> list[str]:
    """Return what a reader should keep in mind, a sentence each."""
    notes = [f"{note[:1].upper()}{note[1:]}" for note in result.warnings] + [ONE_RUN]
    for pair in result.statistics.pairs:
        if pair.note:
            notes.append(f"{pair.note[:1].upper()}{pair.note[1:]} ({result.pair_name(pair)}).")
    notes.append("Models may differ in more than their names say: in data, size and budget of training.")
    if result.rival is None:
        notes.append("No rival was scored: how good a plain model is on these items is not known.")
    return notes


def _repeat(result: ModelComparison, bundles: Sequence[Path]) -> list[tuple[str, str]]:
    marks = [(name, read_bundle(folder).fingerprint) for name, folder in zip(result.names, bundles, strict=True)]
    return [*marks, *machine_facts()]
