"""Options that have no effect on items of a kind are refused, in Python as on the command line, for every task."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest

from rekur._options import Option, options_of
from rekur.errors import InputError
from rekur.features import FEATURES
from rekur.tasks.catalog import CATALOG

#: items of each kind
ITEMS: dict[str, list[Any]] = {
    "text": ["a fine film", "a dull film"],
    "symbols": [["home", "buy"], ["home", "leave"]],
    "series": [np.arange(3.0), np.ones(3)],
    "words": [["Ada", "left", "Oslo"], ["Oslo", "is", "fine"]],
}
#: labels of each kind of target
LABELS: dict[str, list[Any]] = {
    "label": ["good", "bad"],
    "number": [1.0, 2.0],
    "tags": [["N", "V", "N"], ["N", "V", "A"]],
}
TASKS = [row for row in CATALOG.values() if hasattr(row.options_class(), "item_kinds")]


def limited() -> list[Any]:
    """Return each task with an option that is not for all kinds of its items, and a kind that it is not for."""
    cases = []
    for row in TASKS:
        options_class: Any = row.options_class()
        kinds = options_class.item_kinds
        described = options_of(options_class)
        members = options_of(described["feature_options"].members or type)
        for name, each in {**described, **members}.items():
            names = {kind: signature(FEATURES[kind]).parameters for kind in kinds} if name in members else {}
            fitting = [kind for kind in kinds if kind in each.kinds or name in names.get(kind, ())]
            cases += [pytest.param(row, name, kind, fitting) for kind in kinds if fitting and kind not in fitting]
    return cases


def value_of(option: Option) -> Any:
    """Return a value that is not the default, and not that of something switched off."""
    if option.choices:
        return next(choice for choice in option.choices if choice not in (option.default, "auto"))
    return True if bool in option.types else 3 if int in option.types else 0.5


@pytest.mark.parametrize(("row", "name", "kind", "fitting"), limited())
def test_an_option_of_another_kind_of_items_is_refused(row: Any, name: str, kind: str, fitting: list[str]) -> None:
    described = options_of(row.options_class())
    members = options_of(described["feature_options"].members or type)
    is_member = name in members
    value = value_of((members if is_member else described)[name])
    options = {"feature_options": {name: value}} if is_member else {name: value}
    sentence = f"{name}: got {value!r}; expected none for {kind}. It is for {' and '.join(fitting)}."
    for more in ({}, {"kind": kind}):
        with pytest.raises(InputError) as caught:
            row.estimator_class()(**options, **more).fit(ITEMS[kind], LABELS[row.target])
        assert str(caught.value) == sentence


def test_every_task_of_items_has_such_options() -> None:
    names = {(param.values[0].name, param.values[1]) for param in limited()}
    assert {("tag", "chunk_length"), ("tag", "embedding_size"), ("classify", "embedding_size")} <= names
    assert {name for name, _ in names} == {row.name for row in TASKS}
