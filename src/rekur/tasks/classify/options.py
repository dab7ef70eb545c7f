"""The options of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from rekur import _check
from rekur._options import option, options, pairs
from rekur.errors import InputError, describe
from rekur.tasks.base.options import TOKEN_KINDS, ItemOptions


def class_weights(text: str) -> str | dict[str, float]:
    """Return ``balanced`` as it is, and the weights of labels as a dict.

    Example:
        >>> class_weights("spam=2,ham=0.5")
        {'spam': 2.0, 'ham': 0.5}
    """
    if "=" not in text:
        return text
    try:
        return {label: float(weight) for label, weight in pairs(text).items()}
    except ValueError:
        raise ValueError(f"got '{text}'; expected balanced, or weights of labels such as spam=2,ham=0.5.") from None


def _check_class_weight(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        _check.choice(name, value, ("balanced",))
        return
    if not value:
        raise InputError(describe(name, value, "'balanced', or a weight for one label or more"))
    for label, weight in value.items():
        _check.positive(f"{name} of {label!r}", weight)


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
        varies=False,
    )
    bayes_start: float | None = option(
        "model",
        "Start the embedding of words at so many times their log-count ratios; 0 for none.",
        default=None,
        kinds=TOKEN_KINDS,
        check=partial(_check.number, low=0),
    )
    class_weight: str | dict[Any, float] | None = option(
        "training",
        "Weight classes by the inverse of their frequency (balanced), or as given; others by 1.",
        default=None,
        details="In Python ``balanced``, or a dict of labels with their weights.",
        parse=class_weights,
        metavar="balanced|LABEL=WEIGHT,...",
        check=_check_class_weight,
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
