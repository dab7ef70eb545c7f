"""A description of pairs of texts, and of what may be wrong with them, before training."""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from rekur._numbers import counted
from rekur.data.corpus import Corpus
from rekur.data.pair_corpus import numbered
from rekur.data.pair_statistics import find_shift
from rekur.data.splitting import item_key

#: times by which a pair's ratio of lengths may differ from the median, in how many median deviations of all ratios,
#: and characters that its lengths must differ by
_TIMES, _DEVIATIONS, _CHARACTERS = 3.0, 6.0, 20
#: pairs that are shown as suspicious, and characters of a text that are shown
_SHOWN, _WIDTH = 10, 40
#: share of letters that a script has at least to be shown, and to be that of a side; letters of a text in another one
_SHARE, _MAIN, _LETTERS = 0.001, 0.9, 5
#: share of pairs from which equal sides are warned of
_COPIES = 0.3
_OTHER_ENDS = {"\r": "CR", "\v": "VT", "\f": "FF", "\x85": "U+0085", "\u2028": "U+2028", "\u2029": "U+2029"}
#: letters of utf-8 that was read as latin-1 or windows-1252
_GARBLED = re.compile("Ã[\u0080-\u00bf\u2018-\u2122]|â€|Â[\u00a0-\u00bf]|\ufffd")

Quantiles = dict[str, int]


@dataclass
class Side:
    """What stands on one side of pairs.

    Attributes:
        name: the file, or the table.
        empty: the lines of blank texts.
        lengths: for ``characters`` and ``words`` of texts that are not blank: min, median, p95 and max.
        scripts: share of letters in each writing system, largest first.
        line_ends: lines that hold a character that ends a line for some programs, by its name.
        garbled: lines that look like text in another encoding.
    """

    name: str
    empty: list[int] = field(default_factory=list)
    lengths: dict[str, Quantiles] = field(default_factory=dict)
    scripts: dict[str, float] = field(default_factory=dict)
    line_ends: dict[str, int] = field(default_factory=dict)
    garbled: list[int] = field(default_factory=list)


@dataclass
class Suspect:
    """A pair whose sides may not belong together.

    Attributes:
        line: where it stands.
        reason: why it is shown.
        source: its source, cut.
        target: its target, cut.
    """

    line: int
    reason: str
    source: str
    target: str


@dataclass
class PairDescription:
    """What pairs of texts hold; made by :func:`describe_pairs`.

    Attributes:
        pairs: their number; a source with several references counts once for each.
        left_out: those with a blank side, which training leaves out.
        source: the sources.
        target: the targets.
        ratio: characters of a target for each of its source: p5, median and p95.
        identical: pairs whose sides are equal.
        duplicates: pairs that equal an earlier one.
        several_targets: sources with several different targets.
        suspects: the first pairs that look odd.
        n_suspects: how many do.
        warnings: a sentence for each thing to check.
    """

    pairs: int
    left_out: int
    source: Side
    target: Side
    ratio: dict[str, float] = field(default_factory=dict)
    identical: int = 0
    duplicates: int = 0
    several_targets: int = 0
    suspects: list[Suspect] = field(default_factory=list)
    n_suspects: int = 0
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return asdict(self)

    def overview(self) -> list[tuple[str, str]]:
        """Return (name, value) pairs for a table."""
        rows = [("pairs", f"{self.pairs:,}"), ("left out of training, as a side is empty", f"{self.left_out:,}")]
        if self.ratio:
            low, median, high = (self.ratio[name] for name in ("p5", "median", "p95"))
            shown = f"median {median:.2f}, 90 % in [{low:.2f}, {high:.2f}]"
            rows.append(("characters of a target for one of its source", shown))
        rows += [
            ("identical sides", f"{self.identical:,}"),
            ("duplicates", f"{self.duplicates:,}"),
            ("sources with several targets", f"{self.several_targets:,}"),
        ]
        return [*rows, ("suspicious pairs", f"{self.n_suspects:,}")]

    def side_table(self) -> list[tuple[str, str, str]]:
        """Return (what, of sources, of targets)."""
        sides = (self.source, self.target)
        rows: list[tuple[str, ...]] = [
            ("name", *(side.name for side in sides)),
            ("empty", *(numbered("line", side.empty) if side.empty else "0" for side in sides)),
        ]
        for unit in ("characters", "words"):
            rows.append((f"length in {unit}", *(_range(side.lengths.get(unit)) for side in sides)))
        rows.append(("scripts", *(_shares(side.scripts) for side in sides)))
        return [(name, source, target) for name, source, target in rows]

    def suspect_table(self) -> list[tuple[str, str, str, str]]:
        """Return (line, reason, source, target) of the first suspicious pairs."""
        return [(f"{each.line}", each.reason, each.source, each.target) for each in self.suspects]


def describe_pairs(corpus: Corpus, names: tuple[str, str]) -> PairDescription:
    """Return a description of pairs, which are read twice.

    Args:
        corpus: pairs that were read for evaluation; see :func:`~rekur.data.pairs.read_pairs`.
        names: of the sources and of the targets.

    Example:
        >>> from rekur.data.pairs import pairs_in_memory
        >>> corpus = pairs_in_memory(["A dog.", "Ok", ""], ["Un chien.", "Ok", "Quoi ?"], use="evaluation")
        >>> description = describe_pairs(corpus, ("X", "y"))
        >>> description.pairs, description.left_out, description.identical, description.ratio["median"]
        (3, 1, 1, 1.25)
    """
    sides = (_Counts(names[0]), _Counts(names[1]))
    seen: dict[bytes, set[bytes]] = {}
    description = PairDescription(0, 0, sides[0].side, sides[1].side)
    for line, *texts in _pairs(corpus):
        description.pairs += 1
        blank = [side.add(text, line) for side, text in zip(sides, texts, strict=True)]
        description.left_out += any(blank)
        if not any(blank):
            description.identical += texts[0] == texts[1]
            source, target = map(item_key, texts)
            targets = seen.setdefault(source, set())
            description.duplicates += target in targets
            targets.add(target)
    description.several_targets = sum(len(targets) > 1 for targets in seen.values())
    for side in sides:
        side.finish()
    ratios = _ratios(*(np.asarray(side.characters) for side in sides))
    if len(ratios):
        low, median, high = np.percentile(ratios, [5, 50, 95])
        description.ratio = {"p5": float(low), "median": float(median), "p95": float(high)}
        spread = _DEVIATIONS * float(np.median(np.abs(np.log(ratios / median))))
        _add_suspects(description, corpus, float(median), max(math.log(_TIMES), spread))
    description.warnings = _warnings(description, [side.characters for side in sides])
    return description


def _pairs(corpus: Corpus) -> Iterable[tuple[int, str, str]]:
    """Yield line, source and target of each pair."""
    for example in corpus:
        for target in (example.label,) if isinstance(example.label, str) else example.label:
            yield example.line, example.item, target


class _Counts:
    """Running counts over the texts of a side."""

    def __init__(self, name: str) -> None:
        self.side, self.characters, self._words = Side(name), array("q"), array("q")
        self._letters, self._ends = Counter[str](), Counter[str]()

    def add(self, text: str, line: int) -> bool:
        """Count a text; return whether it is blank."""
        is_blank = not text.strip()
        self.characters.append(0 if is_blank else len(text))
        if is_blank:
            self.side.empty.append(line)
        else:
            self._words.append(len(text.split()))
        self._letters.update(text)
        for end, name in _OTHER_ENDS.items():
            self._ends[name] += end in text
        if _GARBLED.search(text):
            self.side.garbled.append(line)
        return is_blank

    def finish(self) -> None:
        characters = np.asarray(self.characters)
        for unit, sizes in (("characters", characters[characters > 0]), ("words", np.asarray(self._words))):
            if len(sizes):
                low, median, p95, high = np.percentile(sizes, [0, 50, 95, 100], method="nearest")
                self.side.lengths[unit] = {"min": int(low), "median": int(median), "p95": int(p95), "max": int(high)}
        scripts = Counter[str]()
        for letter, count in self._letters.items():
            if script := _script(letter):
                scripts[script] += count
        total = scripts.total()
        self.side.scripts = {name: count / total for name, count in scripts.most_common() if count >= _SHARE * total}
        self.side.line_ends = {name: count for name, count in self._ends.items() if count}


@lru_cache(maxsize=1 << 16)
def _script(letter: str) -> str:
    """Return the writing system of a letter, as Unicode names it; empty for other characters."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0].lower() if letter.isalpha() else ""


def _ratios(sources: Any, targets: Any) -> Any:
    both = (sources > 0) & (targets > 0)
    return targets[both] / sources[both]


def _add_suspects(description: PairDescription, corpus: Corpus, median: float, limit: float) -> None:
    main = [_main_script(side.scripts) for side in (description.source, description.target)]
    for line, source, target in _pairs(corpus):
        if not (source.strip() and target.strip()):
            continue
        reason = _reason((source, target), median, limit, main)
        if reason:
            description.n_suspects += 1
            if len(description.suspects) < _SHOWN:
                description.suspects.append(Suspect(line, reason, _cut(source), _cut(target)))


def _reason(texts: tuple[str, str], median: float, limit: float, main: Sequence[str]) -> str:
    """Return why a pair looks odd, or an empty text.

    Args:
        texts: source and target.
        median: of all ratios of lengths.
        limit: the largest difference of logarithms from it.
        main: the script of most sources, and of most targets.
    """
    source, target = map(len, texts)
    ratio = target / source
    if abs(math.log(ratio / median)) > limit and abs(target - median * source) > _CHARACTERS:
        return f"target {ratio:.2g} times as long (median {median:.2g})"
    for name, text, script in zip(("source", "target"), texts, main, strict=True):
        if not script or script in map(_script, text):
            continue
        scripts = Counter(filter(None, map(_script, text)))
        if scripts.total() >= _LETTERS:
            return f"{name} in {scripts.most_common(1)[0][0]} letters, most others in {script}"
    return ""


def _main_script(scripts: dict[str, float]) -> str:
    name, share = next(iter(scripts.items()), ("", 0.0))
    return name if share >= _MAIN else ""


def _warnings(description: PairDescription, lengths: Sequence[Sequence[int]]) -> list[str]:
    sides = (description.source, description.target)
    names = [side.name for side in sides]
    warnings = []
    if (shift := find_shift(*lengths)) is not None:
        warnings.append(shift.sentence(*(names if names[0] != names[1] else ("the sources", "the targets"))))
    whole = description.pairs - description.left_out
    if description.identical > _COPIES * whole:
        warnings.append(
            f"{description.identical:,} of {counted(whole, 'pair')} have equal sides: a model learns to copy."
        )
    for role, side in zip(("sources", "targets"), sides, strict=True):
        if side.line_ends:
            shown = ", ".join(f"{name} in {counted(count, 'line')}" for name, count in side.line_ends.items())
            warnings.append(f"{role}: {shown}: read as characters of the text, since only LF ends a line.")
        if side.garbled:
            fix = "Save it in utf-8 again, or name the encoding with --encoding."
            warnings.append(f"{role}: text that looks garbled, such as Ã©, in {numbered('line', side.garbled)}. {fix}")
    if description.n_suspects:
        share = description.n_suspects / max(1, whole)
        warnings.append(f"{counted(description.n_suspects, 'pair')} ({share:.2%}) look as if their sides were no pair.")
    return warnings


def _range(size: Quantiles | None) -> str:
    if size is None:
        return "none"
    return f"min {size['min']}, median {size['median']}, 95 % ≤ {size['p95']}, max {size['max']}"


def _shares(scripts: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in scripts.items()) or "none"


def _cut(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 1]}…"
