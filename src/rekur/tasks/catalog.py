"""The catalog of tasks: the command line, loading, the search and the public names are derived from its rows.

Neither PyTorch nor scikit-learn is imported until the estimator of a row is asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rekur.tasks.base.estimator import Estimator
    from rekur.tasks.base.options import SharedOptions

#: what the files of a task hold: labelled items in the columns of a table, running text, pairs of texts, or series
READS = ("items", "texts", "pairs", "tables")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One task.

    Attributes:
        name: the task's name in bundles and on the command line.
        help: what ``rekur fit`` does, in a sentence.
        tune_help: what ``rekur tune`` does, in a sentence.
        options: ``module:class`` of its options, which are free of PyTorch.
        estimator: ``module:class`` of its estimator.
        reads: what its files hold, one of ``READS``.
        target: the kind of its target, one of ``rekur.targets.KINDS`` or ``next``.
        preview: whether it is unfinished: neither ``rekur --help`` nor the README names it, and ``fit`` says so.
    """

    name: str
    help: str
    tune_help: str
    options: str
    estimator: str
    reads: str = "items"
    target: str
    preview: bool = False

    def options_class(self) -> type[SharedOptions]:
        """Return the class of the task's options."""
        loaded: type[SharedOptions] = _load(self.options)
        return loaded

    def estimator_class(self) -> type[Estimator]:
        """Return the task's estimator; this imports PyTorch and scikit-learn."""
        loaded: type[Estimator] = _load(self.estimator)
        return loaded

    def test_files(self, *, of_table: bool = False) -> str:
        """Return the files of an evaluation, as usage lines name them; pairs may stand in one table."""
        return "SOURCE TARGET" if self.reads == "pairs" and not of_table else "TEST_FILE"

    @property
    def public_name(self) -> str:
        """The name of the estimator's class."""
        return self.estimator.partition(":")[2]


def _load(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


#: every task by its name
CATALOG: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            name="classify",
            help="Learn to give a sequence its label.",
            tune_help="Search for the options that classify best.",
            options="rekur.tasks.classify.options:ClassifyOptions",
            estimator="rekur.tasks.classify.classifier:Classifier",
            target="label",
        ),
        Row(
            name="regress",
            help="Learn to give a sequence a number.",
            tune_help="Search for the options that predict a number best.",
            options="rekur.tasks.regress.options:RegressOptions",
            estimator="rekur.tasks.regress.regressor:Regressor",
            target="number",
        ),
        Row(
            name="tag",
            help="Learn to give every word of a sentence, or every row of a log, its tag.",
            tune_help="Search for the options that tag best.",
            options="rekur.tasks.tag.options:TagOptions",
            estimator="rekur.tasks.tag.tagger:Tagger",
            target="tags",
        ),
        Row(
            name="translate",
            help="Learn to write a text for a text, such as its translation.",
            tune_help="Search for the options that translate best.",
            options="rekur.tasks.translate.options:TranslateOptions",
            estimator="rekur.tasks.translate.translator:Translator",
            reads="pairs",
            target="text",
        ),
        Row(
            name="forecast",
            help="Learn to forecast the next values of one series or of thousands.",
            tune_help="Search for the options that forecast best.",
            options="rekur.tasks.forecast.options:ForecastOptions",
            estimator="rekur.tasks.forecast.forecaster:Forecaster",
            reads="tables",
            target="distribution",
        ),
        Row(
            name="language",
            help="Learn to predict text: character by character, byte by byte, word by word or by byte pairs.",
            tune_help="Search for the options that predict text best.",
            options="rekur.tasks.language.options:LanguageOptions",
            estimator="rekur.tasks.language.language_model:LanguageModel",
            reads="texts",
            target="next",
        ),
    )
}


def row_of(estimator: str) -> Row | None:
    """Return the row of the estimator with a public name; None if there is none."""
    return next((row for row in CATALOG.values() if row.public_name == estimator), None)


class Estimators(Mapping[str, "type[Estimator]"]):
    """The estimators of the catalog by the names of their tasks; each is imported when it is asked for."""

    def __getitem__(self, name: str) -> type[Estimator]:
        return CATALOG[name].estimator_class()

    def __iter__(self) -> Iterator[str]:
        return iter(CATALOG)

    def __len__(self) -> int:
        return len(CATALOG)


TASKS = Estimators()
