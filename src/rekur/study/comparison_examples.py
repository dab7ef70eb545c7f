"""The items of a comparison that people look at first: what its best variant gets wrong, and what it is unsure of."""

from __future__ import annotations

import warnings
from typing import Any

from rekur.errors import DataWarning
from rekur.runtime.examples import Examples
from rekur.study.comparison import ComparisonResult
from rekur.study.comparison_folder import IDENTITY, ComparisonFolder, Run
from rekur.study.comparison_page import PageFacts
from rekur.study.measures import load_model
from rekur.study.objective import Setting
from rekur.targets.gallery import Galleries
from rekur.tasks import load

#: items of each kind that are shown
_MOST = 8


def page_facts(
    result: ComparisonResult, folder: ComparisonFolder, setting: Setting, scored: Any, split_seed: int
) -> PageFacts:
    """Return what the page of a comparison tells beside the result.

    Args:
        result: the comparison.
        folder: of it.
        setting: task, options and data of all runs.
        scored: the items that gave the scores; None where a share of the training data did.
        split_seed: of that share.
    """
    saved = folder.notes(IDENTITY)
    marks = {"training": saved.get("data"), "validation": saved.get("valid"), "test": saved.get("test")}
    facts = PageFacts(data={name: mark for name, mark in marks.items() if mark is not None})
    run = middle_run(result)
    if run is None:
        return facts
    model = folder.model(run.variant, run.seed)
    if scored is None:
        task = load(model)
        task.split_seed = split_seed
        scored = getattr(task.make_stages().prepare(setting.data, None, None), "validated", None)
        if scored is None or next(iter(scored), None) is None:  # of a text, or with folds
            return facts
    answering = load_model(model)
    examples = Examples(answering.target_, _MOST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # they were given when the runs were scored
        answering.evaluate_corpus(scored, Galleries(examples.members))
        facts.wrong, facts.unsure = examples.wrong(answering, scored), examples.unsure(answering, scored)
        facts.drawn = examples.drawn
    name = result.variants[run.variant].name
    facts.model = (
        f"Items of the {result.split} data, as {name} with seed {run.seed} answers, the middle one of its runs."
    )
    return facts


def middle_run(result: ComparisonResult) -> Run | None:
    """Return the run of the best variant whose score is in the middle; None if no run has finished."""
    best = result.ranked()
    runs = sorted(result.runs_of(best[0]) if best else [], key=lambda run: (run.score or 0.0, run.seed))
    return runs[len(runs) // 2] if runs else None
