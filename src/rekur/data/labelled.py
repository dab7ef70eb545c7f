"""Items in memory with their labels, by the kind of the items."""

from __future__ import annotations

from typing import Any

from rekur._history import History
from rekur.data.corpus import Corpus
from rekur.data.histories import HistoryColumns, read_histories
from rekur.data.pairs import pairs_in_memory
from rekur.data.parts import series_corpus


def labelled(
    X: Any, y: Any = None, name: str = "X", *, kind: str | None = None, use: str = "training", **how: Any
) -> Corpus:
    """Return items with labels as a corpus.

    Args:
        X: the items.
        y: a label for each; of pairs the target, or in evaluation its references.
        name: what ``X`` is called in messages, with an X; the labels have the same name with a y.
        kind: of the items; None looks at them. With ``"pairs"``, items are sources and labels texts.
        use: what pairs are read for, ``"training"`` or ``"evaluation"``.
        how: further arguments of :meth:`Corpus.from_lists`.

    Raises:
        InputError: items and labels differ in number, or one cannot be read.

    Example:
        >>> [(pair.item, pair.label) for pair in labelled(["A dog."], ["Un chien."], kind="pairs")]
        [('A dog.', 'Un chien.')]
    """
    if kind == "pairs":
        return pairs_in_memory(X, y, name, use=use)
    if kind == "windows":
        columns = how.get("columns")
        is_read = isinstance(X, list) and bool(X) and isinstance(X[0], History)
        named = columns and HistoryColumns(**columns)
        return series_corpus(X if is_read else read_histories(X, named, categories=how.get("categories")), name)
    return Corpus.labelled(X, y, name, kind=kind, **how)
