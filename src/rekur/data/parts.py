"""Parts of items as examples, such as windows of series; and series as a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rekur._history import History
from rekur.data.corpus import Corpus
from rekur.data.example import Example
from rekur.data.histories import HistoryColumns, read_histories
from rekur.data.inputs import Input, Location, name_of

#: an item -> its parts with their labels
Cut = Callable[[Any], Iterable[tuple[Any, Any]]]


def cut_parts(corpus: Corpus, cut: Cut) -> Corpus:
    """Return the parts of the items of a corpus as examples; a part may have a name."""

    def read() -> Iterator[Example]:
        for each in corpus:
            for item, label in cut(each.item):
                yield Example(item, label, each.line, getattr(item, "name", each.id), each.weight, group=each.group)

    return corpus.derived(read, corpus.notes)


def series_corpus(series: Sequence[History], name: str, where: Callable[[int], str] = "[{}]".format) -> Corpus:
    """Return series as a corpus.

    Args:
        series: the series.
        name: what to call them in messages.
        where: the line where a series begins, or of lists its number from 0 -> what stands behind the name.
    """
    examples = [Example(each, None, each.line or row, each.name) for row, each in enumerate(series)]
    return Corpus(lambda: examples, name, where, kind="windows")


def open_series(file: Location | Input, columns: HistoryColumns, **reading: Any) -> Corpus:
    """Return the series of a file as a corpus, which is in memory; see :func:`rekur.data.histories.read_histories`."""
    series = read_histories(file, columns, **reading)
    return series_corpus(series, name_of(file), ", line {}".format)
