"""The options of a classifier."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rekur import _check
from rekur._options import option, options
from rekur.tasks.base.options import TOKEN_KINDS, ItemOptions


@options
class ClassifyOptions(ItemOptions):
    """Options of :class:`rekur.Classifier`."""

    fit_help: ClassVar[str] = """
    \b
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur fit classify names.tsv --text name --label language --tokens char --out runs/names
    rekur fit classify dna.fasta --symbols sequence --label label --out runs/dna
    rekur fit classify walks.jsonl --series x --label room --cell gru --out runs/walks
    rekur fit classify log.csv --series hr --series temp --group patient --time at --label ill --out runs/ill
    rekur fit classify posts.csv --text post --label tags --label-separator "|" --out runs/tags
    """
    tune_help: ClassVar[str] = """
    \b
    rekur tune classify reviews.csv --text review --label stars --trials 30 --out runs/search
    """

    multi_label: bool = option(
        "data",
        "An item may have several labels; they stand in a list, or between --label-separator.",
        default=False,
        details="Each is judged by itself: sigmoid in place of softmax.",
        check=_check.flag,
        search=None,
    )
    bayes_start: float | None = option(
        "model",
        "Start the embedding of words at so many times their log-count ratios; 0 for none.",
        default=None,
        kinds=TOKEN_KINDS,
        check=partial(_check.number, low=0),
    )
    class_weight: str | None = option(
        "training",
        "Weight classes by the inverse of their frequency.",
        default=None,
        choices=("balanced",),
        check=partial(_check.choice, allowed=("balanced",)),
        search=None,
    )
    label_smoothing: float | None = option(
        "training",
        "Share of the target spread over all classes.",
        default=None,
        details="In [0, 1).",
        check=partial(_check.number, low=0, high=1, open_high=True),
    )

    @property
    def label_type(self) -> str:  # type: ignore[override]
        """Return how labels are read from a file."""
        return "classes" if self.multi_label else "class"
