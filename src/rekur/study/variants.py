"""The variants of a comparison: cells and varied options, with hidden sizes that make their models equally large."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rekur import _check
from rekur._options import options_of
from rekur.errors import InputError, describe
from rekur.models import count_core
from rekur.program.cells import KINDS, NO_PROGRAM, TRANSFORMER
from rekur.study.objective import FEATURE_OPTIONS, Setting, make_task
from rekur.study.space import Range, chosen_space
from rekur.tasks.catalog import CATALOG

#: how the sizes of models are made equal
EQUAL = ("parameters", "hidden")
#: largest difference between counts of weights that are called equal, as a share
TOLERANCE = 0.02
#: share by which the hidden size of the first variant may be larger than its recipe says, where that makes counts equal
SLACK = 0.15


@dataclasses.dataclass(frozen=True)
class VariantSpec:
    """One variant: its name, and the options in which it differs from the others.

    Attributes:
        name: such as ``gru`` or ``gru, dropout 0.3``.
        options: option -> value.
        note: a caveat in words; may be empty.
    """

    name: str
    options: dict[str, Any]
    note: str = ""


def make_variants(
    setting: Setting, kind: str, cells: Sequence[str], varied: Mapping[str, str | Sequence[Any]]
) -> list[VariantSpec]:
    """Return every combination of cells and values of the varied options.

    Args:
        setting: task and fixed options.
        kind: the kind of an item; empty for texts of a language model.
        cells: names of cells, or ``transformer``; none where only options vary.
        varied: option -> values: text such as ``0,0.3`` or ``16:64:16``, or a list.

    Raises:
        InputError: a name is unknown or repeated, an option cannot be varied, or there are fewer than two variants.

    Example:
        >>> setting = Setting("classify", {}, None, None, {})
        >>> [each.name for each in make_variants(setting, "text", ["gru", "lstm"], {"dropout": "0,0.3"})]
        ['gru, dropout 0.0', 'gru, dropout 0.3', 'lstm, dropout 0.0', 'lstm, dropout 0.3']
    """
    if isinstance(cells, str):
        cells = cells.split(",")
    allowed = KINDS if CATALOG[setting.task].options_class().no_transformer else (*KINDS, TRANSFORMER)
    named = [name.strip() if isinstance(name, str) else name for name in cells]
    if TRANSFORMER in named and TRANSFORMER not in allowed:
        CATALOG[setting.task].options_class().check_cell(TRANSFORMER)
    names = [_check.choice("cells", name, allowed) for name in named]
    for number, name in enumerate(names):
        if name in names[:number]:
            fix = "To see how far runs of one cell differ, look at its interval over seeds."
            raise InputError(describe("cells", ",".join(names), f"each name once ('{name}' is repeated)", fix))
    fixed = dict(setting.options)
    if names:
        for option, source in (("cell", fixed.get("cell")), ("vary cell", varied.get("cell"))):
            if source is not None:
                raise InputError(describe(option, source, "none beside cells", "Name all cells with --cells."))
        fixed["cell"] = names[0]
    values: dict[str, list[Any]] = {"cell": names} if names else {}
    for name, dimension in chosen_space(setting.task, kind, varied, fixed, thing="vary").items():
        if isinstance(dimension, Range) and dimension.count() > len(KINDS) ** 2:
            fix = "Name the values, with commas between."
            raise InputError(describe(f"vary {name}", str(dimension), "values that are compared", fix))
        values[name] = dimension.values()
    variants = [
        VariantSpec(_name_of(chosen), chosen, NO_PROGRAM.rstrip(".") if chosen.get("cell") == TRANSFORMER else "")
        for chosen in (dict(zip(values, each, strict=True)) for each in itertools.product(*values.values()))
    ]
    if len(variants) < 2:
        fix = "Name several cells with --cells, or values of an option with --vary."
        got = variants[0].name if values else "none"
        raise InputError(describe("variants", got, "two or more", fix))
    for variant in variants:
        try:
            make_task(setting.task, setting.options, variant.options).check_options()
        except InputError as error:
            raise InputError(f"variant '{variant.name}': {error}") from None
    return variants


def _name_of(options: Mapping[str, Any]) -> str:
    words = [f"{name.replace('_', ' ')} {_text(value)}" for name, value in options.items() if name != "cell"]
    return ", ".join([options["cell"], *words] if "cell" in options else words)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


# ── equal sizes ──────────────────────────────────────────────────────────────────────────────────────────────────


class Sizing:
    """Counts the weights of untrained variants; their data are prepared once for all that read them alike.

    Args:
        setting: task, fixed options and data.
        split_seed: of the share that is held out for validation.
        say: is told what preparation says of the data, once.
    """

    def __init__(self, setting: Setting, split_seed: int, say: Callable[[str], None]) -> None:
        self._setting, self._split_seed, self._say = setting, split_seed, say
        self._prepared: dict[str, tuple[Any, Any, Any]] = {}
        self._counts: dict[str, int] = {}

    @property
    def is_fixed(self) -> bool:
        """Whether the hidden size is fixed by the options."""
        return self._setting.options.get("hidden_size") is not None

    def count(self, options: Mapping[str, Any]) -> int:
        """Return the weights outside embeddings and the output layer of the network of a variant.

        Raises:
            InputError: the data or an option cannot be used.
        """
        key = json.dumps(dict(options), sort_keys=True, default=str)
        if key not in self._counts:
            task, stages, prepared = self._task(options)
            task.chosen_ = stages.choose_options(prepared)
            self._counts[key] = count_core(stages.make_network(prepared, None))
        return self._counts[key]

    def hidden_size(self, options: Mapping[str, Any]) -> int | None:
        """Return the hidden units of a variant that leaves them open, by the recipe; None of a network of one size."""
        _, stages, prepared = self._task(options)
        chosen = stages.choose_options(prepared)["hidden_size"]
        return None if chosen is None else int(chosen)

    def _task(self, options: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        described = options_of(CATALOG[self._setting.task].options_class())
        groups = {name: described[name].group if name in described else "data" for name in options}
        read = {name: value for name, value in options.items() if name in FEATURE_OPTIONS or groups[name] == "data"}
        read |= {name: value for name, value in options.items() if name in described and described[name].search is None}
        key = json.dumps(read, sort_keys=True, default=str)
        if key not in self._prepared:
            task = make_task(self._setting.task, self._setting.options, options)
            task.split_seed = self._split_seed
            stages = task.make_stages()
            prepared = stages.prepare(self._setting.data, self._setting.valid, None)
            if not self._prepared:
                for note in prepared.notes:
                    self._say(note)
            task.features_, task.target_ = prepared.features, prepared.target
            self._prepared[key] = task, stages, prepared
        task, stages, prepared = self._prepared[key]
        task.set_params(**{name: value for name, value in options.items() if name not in FEATURE_OPTIONS})
        return task, stages, prepared


def make_equal(variants: Sequence[VariantSpec], sizing: Sizing, equal: str) -> list[VariantSpec]:
    """Return the variants with hidden sizes that make their models equally large.

    Args:
        variants: the first is the measure of the others.
        sizing: counts weights.
        equal: ``parameters`` for equal counts outside embeddings and the output layer, within 2 %; ``hidden`` for
            equal hidden sizes.

    Raises:
        InputError: the data cannot be read, or hidden sizes are varied and counts are to be equal.
    """
    if "hidden_size" in variants[0].options:
        if equal == "parameters":
            expected = "'hidden' where hidden_size is varied"
            raise InputError(describe("equal", equal, expected, "Add --equal hidden, or leave hidden_size out."))
        for variant in variants:
            sizing.count(variant.options)  # reads the data, and refuses what does not fit
        return list(variants)
    hidden = sizing.hidden_size(variants[0].options)
    if hidden is None:
        for variant in variants:
            sizing.count(variant.options)
        return list(variants)
    if equal == "hidden":
        sized = [
            dataclasses.replace(each, options={**each.options, "hidden_size": hidden})
            if sizing.hidden_size(each.options) is not None
            else each
            for each in variants
        ]
        for variant in sized:
            sizing.count(variant.options)
        return sized
    best = _equal_to(variants, sizing, hidden)
    # whole sizes may be too coarse beside the chosen one; a few more hidden units in the first variant can mend that
    for more in range(1, 1 + (0 if sizing.is_fixed else math.ceil(SLACK * hidden))):
        if best[0] <= TOLERANCE:
            break
        best = min(best, _equal_to(variants, sizing, hidden + more), key=lambda each: each[0])
    return best[1]


def _equal_to(variants: Sequence[VariantSpec], sizing: Sizing, hidden: int) -> tuple[float, list[VariantSpec]]:
    """Return the variants with about as many weights as the first has with a hidden size, and the worst deviation."""
    first = {**variants[0].options, "hidden_size": hidden}
    goal, worst, sized = sizing.count(first), 0.0, []
    for variant in variants:
        options = dict(variant.options)
        if sizing.hidden_size(options) is not None:
            options["hidden_size"] = hidden
            if _count(sizing, options) != goal:
                options["hidden_size"] = _nearest(sizing, options, goal)
        count, note = sizing.count(options), ""
        share = abs(count / goal - 1)
        if share > TOLERANCE:
            more = f"{share:.1%} {'more' if count > goal else 'fewer'} than '{variants[0].name}'"
            note = f"{count:,} weights outside embeddings and the output layer, {more}"
        worst, notes = max(worst, share), "; ".join(filter(None, [variant.note, note]))
        sized.append(dataclasses.replace(variant, options=options, note=notes))
    return worst, sized


def _nearest(sizing: Sizing, options: Mapping[str, Any], goal: int) -> int:
    """Return the hidden size whose count of weights is the nearest; counts grow with the first to the second power."""

    def count(multiple: int) -> int:
        return sizing.count({**options, "hidden_size": multiple * unit})

    unit = _unit(sizing, options)
    size = max(1, int(options["hidden_size"]) // unit)
    for _ in range(8):
        size = max(1, round(size * math.sqrt(goal / count(size))))
    while count(size) < goal:
        size += 1
    while size > 1 and count(size - 1) >= goal:
        size -= 1
    below = max(1, size - 1)
    return unit * (below if goal - count(below) < count(size) - goal else size)


def _count(sizing: Sizing, options: Mapping[str, Any]) -> int | None:
    """Return the weights of a variant; None where its cell cannot have this hidden size."""
    try:
        return sizing.count(options)
    except InputError:
        return None


def _unit(sizing: Sizing, options: Mapping[str, Any]) -> int:
    """Return the smallest power of 2 that divides all hidden sizes of a cell, such as its number of heads."""
    units = (unit for unit in (1, 2, 4, 8, 16) if _count(sizing, {**options, "hidden_size": 3 * unit}) is not None)
    return next(units, 32)
