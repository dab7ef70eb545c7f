"""Schemes of entity tags: letters before a label that say where spans begin and end.

A *tag* is ``O``, or a letter, a hyphen and a label, such as ``B-PER``; a letter alone has the empty label. A *span* is
``(start, end, label)`` and holds the words from ``start`` to ``end - 1``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from rekur.errors import InputError, describe

Span = tuple[int, int, str]
#: what a tag says: ``O``, ``B``, ``I``, ``E`` or ``S`` as in BIOES, and the label
Parsed = tuple[str, str]

OUTSIDE = "O"
#: letter -> the letter of BIOES that means the same
_MEANING = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_TAG = re.compile(r"([A-Z])(?:-(.+))?", re.DOTALL)
#: tags that mean a scheme and are not written as one: another separator, small letters, the letter behind the label
_NEARLY = re.compile(r"[bieslumwBIESLUMW][-_:/.|].*|.+[-_][BIESLUMW]", re.DOTALL)
#: two tags in one, as nested spans are written
_TWO_TAGS = re.compile(r"(?:[BIESLUMW]-.+|O)[|;,/+&#][ ]?(?:[BIESLUMW]-.+|O)", re.DOTALL)
#: what stands for ``O`` in other programs, in capitals
_OUTSIDE_ALIKE = frozenset(["O", "0", "_", "-", "NONE", "NULL", "OUT", "OUTSIDE", "OTHER"])


@dataclass(frozen=True)
class Scheme:
    """A scheme of tags; the rows of :data:`SCHEMES` are all there are.

    Attributes:
        name: ``"BIO1"``, ``"BIO2"``, ``"BIOES"``, ``"BILOU"``, ``"BMES"``, ``"BMEWO"``, ``"IO"`` or ``"none"``.
        letters: of the first, an inner, the last and the only word of a span; empty for ``"none"``.

    Example:
        >>> bio, bioes = SCHEMES["BIO2"], SCHEMES["BIOES"]
        >>> bio.spans(["B-PER", "I-PER", "O", "B-LOC"])
        [(0, 2, 'PER'), (3, 4, 'LOC')]
        >>> bioes.tags([(0, 2, "PER"), (3, 4, "LOC")], 4)
        ['B-PER', 'E-PER', 'O', 'S-LOC']
    """

    name: str
    letters: str

    @property
    def has_spans(self) -> bool:
        """Whether tags mark spans."""
        return bool(self.letters)

    def parse(self, tag: str) -> Parsed:
        """Return the letter of BIOES that means the same as the tag's, and the label.

        Raises:
            InputError: the tag is none of this scheme.

        Example:
            >>> SCHEMES["BILOU"].parse("L-PER")
            ('E', 'PER')
        """
        if tag == OUTSIDE:
            return OUTSIDE, ""
        match = _TAG.fullmatch(tag)
        allowed = dict.fromkeys(f"B{self.letters}" if self.name in ("BIO1", "IO") else self.letters)
        if match is None or match[1] not in allowed:
            expected = f"'O' or a label behind {', '.join(f'{letter}-' for letter in allowed)}, as in {self.name}"
            raise InputError(describe("tag", tag, expected if allowed else "a tag of a scheme with spans"))
        return _MEANING[match[1]], match[2] or ""

    def spans(self, tags: Sequence[str], *, strict: bool = False) -> list[Span]:
        """Return the spans that tags mark, in order.

        The default is the rule of CoNLL's evaluation and of seqeval: a tag that cannot continue the span before it
        begins another, so that ``I-PER`` after ``O`` is a span. The strict rule is seqeval's: a span counts if all its
        tags are as the scheme has them.

        Args:
            tags: a tag a word, in this scheme.
            strict: leave out spans whose tags the scheme does not allow.

        Raises:
            InputError: a tag is none of this scheme.

        Example:
            >>> SCHEMES["BIO2"].spans(["I-PER", "O", "B-LOC", "I-ORG"])
            [(0, 1, 'PER'), (2, 3, 'LOC'), (3, 4, 'ORG')]
            >>> SCHEMES["BIO2"].spans(["I-PER", "O", "B-LOC", "I-ORG"], strict=True)
            [(2, 3, 'LOC')]
        """
        if not self.has_spans:
            return []
        meaning = {tag: self.parse(tag) for tag in set(tags)}
        parsed = [meaning[tag] for tag in tags]
        spans = []
        for start, end in _runs(parsed):
            first = self._strict_start(parsed, start, end) if strict else start
            if first < end:
                spans.append((first, end, parsed[start][1]))
        return spans

    def tags(self, spans: Iterable[Span], length: int) -> list[str]:
        """Return the tags that mark spans in a sentence.

        Two spans of one label side by side become one in ``"IO"``, which cannot tell them apart.

        Args:
            spans: in any order; no two overlap.
            length: the number of words.

        Raises:
            InputError: a span is empty, ends behind the sentence, or overlaps another, or the scheme has no spans.

        Example:
            >>> SCHEMES["BIO1"].tags([(0, 2, "PER"), (2, 3, "PER")], 4)
            ['I-PER', 'I-PER', 'B-PER', 'O']
        """
        if not self.has_spans:
            raise InputError(describe("scheme", self.name, "one with spans, such as 'BIO2'"))
        tags = [OUTSIDE] * length
        first, inner, last, only = tuple(self.letters)
        previous, previous_label = 0, ""
        for start, end, label in sorted(spans):
            if not previous <= start < end <= length:
                expected = f"start < end in [{previous}, {length}], where no span before it lies"
                raise InputError(describe("span", (start, end, label), expected))
            letters = only if end == start + 1 else f"{first}{inner * (end - start - 2)}{last}"
            if self.name == "BIO1" and start and start == previous and label == previous_label:
                letters = f"B{letters[1:]}"
            tags[start:end] = [f"{letter}-{label}" if label else letter for letter in letters]
            previous, previous_label = end, label
        return tags

    def tag_set(self, labels: Iterable[str], *, outside: bool = True) -> list[str]:
        """Return every tag of some labels: ``O``, then the tags of each label in sorted order.

        Args:
            labels: of spans.
            outside: whether words may lie outside of spans.

        Example:
            >>> SCHEMES["BIOES"].tag_set(["PER"])
            ['O', 'B-PER', 'I-PER', 'E-PER', 'S-PER']
        """
        letters = dict.fromkeys(f"B{self.letters}" if self.name == "BIO1" else self.letters)
        tags = [f"{letter}-{label}" if label else letter for label in sorted(set(labels)) for letter in letters]
        return [OUTSIDE, *tags] if outside else tags

    def _strict_start(self, parsed: list[Parsed], start: int, end: int) -> int:
        """Return where a run of tags is a span by the strict rule; ``end`` where it is none."""
        (first, label), last = parsed[start], parsed[end - 1][0]
        if self.name == "BIO2":
            return start if first == "B" else end
        if self.name not in ("BIO1", "IO"):
            return start if first == "S" or (first, last) == ("B", "E") else end
        if first != "B":
            return start
        # In BIO1, B- stands only after a span of its label. Anywhere else seqeval passes over it, and a span may begin
        # at the I- behind it; a B- before a B- of another label does not end for seqeval.
        if start == 0 or parsed[start - 1][0] == OUTSIDE or parsed[start - 1][1] != label:
            return start + 1
        follower = parsed[end] if end < len(parsed) else (OUTSIDE, "")
        return end if last == "B" == follower[0] and follower[1] != label else start


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        name: Scheme(name, letters)
        for name, letters in {
            "BIO1": "IIII",
            "BIO2": "BIIB",
            "BIOES": "BIES",
            "BILOU": "BILU",
            "BMES": "BMES",
            "BMEWO": "BMEW",
            "IO": "IIII",
            "none": "",
        }.items()
    }
)


def _runs(parsed: Sequence[Parsed]) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each run of tags that continue each other."""
    start, previous = -1, (OUTSIDE, "")
    for index, tag in enumerate(parsed):
        if start >= 0 and not (tag[0] in "IE" and previous[0] in "BI" and tag[1] == previous[1]):
            yield start, index
            start = -1
        if start < 0 and tag[0] != OUTSIDE:
            start = index
        previous = tag
    if start >= 0:
        yield start, len(parsed)


class TagError(InputError):
    """A tag that fits no scheme, or not the other tags.

    Args:
        text: the message.
        tag: the tag.
    """

    def __init__(self, text: str, tag: str) -> None:
        super().__init__(text)
        self.tag = tag


class SchemeChoice(NamedTuple):
    """A scheme and what speaks for it.

    Attributes:
        scheme: the scheme.
        reason: a clause that says why, such as ``"12 of 12 spans begin with B-"``.
        spans: number of spans by the default rule.
        irregular: number of them that the scheme does not allow.
    """

    scheme: Scheme
    reason: str
    spans: int
    irregular: int

    def __str__(self) -> str:
        name = "BIO1 or IO" if self.scheme.name == "IO" else self.scheme.name
        return f"{name}: {self.reason}"


def detect_scheme(sequences: Iterable[Sequence[str]]) -> SchemeChoice:
    """Return the scheme of the tags of a training set.

    Tags mark spans if ``O`` is one of them and others have a letter and a hyphen before a label, or if all have;
    letters alone do if they are those of one scheme. BIO1 and BIO2 differ in how most spans begin.

    Args:
        sequences: the tags of each sentence; read once.

    Raises:
        InputError: tags mark spans in a way that no scheme has.

    Example:
        >>> print(detect_scheme([["B-PER", "I-PER", "O"], ["B-LOC"]]))
        BIO2: 2 of 2 spans begin with B-
        >>> print(detect_scheme([["DET", "NOUN"]]))
        none: no tag has a letter such as B- before a label
    """
    counts, starts = Counter[str](), Counter[str]()
    meaning: dict[str, Parsed] = {}
    for tags in sequences:
        counts.update(tags)
        for tag in set(tags) - meaning.keys():
            match = _TAG.fullmatch(tag)
            letter = _MEANING.get(match[1], OUTSIDE) if match else OUTSIDE
            meaning[tag] = (letter, match[2] or "") if match else (letter, "")
        _count_starts([meaning[tag] for tag in tags], starts)
    if not _marks_spans(counts):
        return SchemeChoice(SCHEMES["none"], "no tag has a letter such as B- before a label", 0, 0)
    letters = _letters(counts)
    return _chosen(letters, starts)


def _count_starts(parsed: list[Parsed], starts: Counter[str]) -> None:
    """Count how the spans of a sentence begin, and those that are whole in BIOES."""
    for start, end in _runs(parsed):
        first, label = parsed[start]
        after_same = start > 0 and parsed[start - 1][0] != OUTSIDE and parsed[start - 1][1] == label
        starts["all"] += 1
        starts["BIO1"] += first == "I" or after_same
        starts["BIO2"] += first == "B"
        starts["BIOES"] += first == "S" or (first == "B" and parsed[end - 1][0] == "E")


def _marks_spans(counts: Mapping[str, int]) -> bool:
    """Return whether tags mark spans; raise where they nearly do."""
    others = [tag for tag in counts if tag != OUTSIDE]
    cut = {tag: match for tag in others if (match := _TAG.fullmatch(tag)) is not None}
    labelled = [tag for tag, match in cut.items() if match[2] and match[1] in _MEANING]
    if others and not any(match[2] for match in cut.values()) and len(cut) == len(others):
        letters = set(others)  # letters alone; many sets of classes are letters too
        fits = any(letters <= set(scheme.letters) for scheme in SCHEMES.values())
        return fits and "B" in letters and (OUTSIDE in counts or len(letters) == 4)
    if OUTSIDE in counts:
        if labelled or (others and all(tag in cut and cut[tag][2] for tag in others)):
            return True
    elif labelled and len(labelled) == len(others):
        return True
    if others and (OUTSIDE in counts or "o" in counts):
        nearly = [tag for tag in others if tag != "o"]
        wrong = [tag for tag in nearly if tag not in labelled]
        if wrong and all(_NEARLY.fullmatch(tag) for tag in nearly):
            expected = "'O', and a capital letter and a hyphen before a label, as in 'B-PER'"
            raise TagError(describe("tag", wrong[0], expected, "Rewrite the tags."), wrong[0])
    alike = [tag for tag in others if tag.strip().upper() in _OUTSIDE_ALIKE]
    if alike and len(labelled) + len(alike) == len(others) and any(tag[0] in "BI" for tag in labelled):
        expected = f"'O' for a word outside of spans, beside tags such as '{labelled[0]}'"
        raise TagError(describe("tag", alike[0], expected, "Rewrite it."), alike[0])
    return False


def _letters(counts: Mapping[str, int]) -> set[str]:
    """Return the letters of tags; raise for a tag that fits no scheme, or not the others."""
    tags: dict[str, str] = {}  # letter -> the first tag that has it
    for tag in counts:
        match = _TAG.fullmatch(tag)
        if tag == OUTSIDE:
            continue
        if match is None or match[1] not in _MEANING:
            expected = "'O' or a label behind B-, I-, E-, S-, L-, U-, M- or W-, as the other tags have it"
            fix = "Correct it; where tags are no spans, write none of them with such a letter."
            raise TagError(describe("tag", tag, expected, fix), tag)
        tags.setdefault(match[1], tag)
    letters = set(tags)
    if nested := next((tag for tag in counts if _TWO_TAGS.fullmatch(tag)), ""):
        fix = "Make a file for each kind of spans."
        raise TagError(describe("tag", nested, "one tag a word", fix), nested)
    family = "BILU" if letters & set("LU") else "BMESW" if letters & set("MW") else "BIES"
    if odd := sorted(letters - set(family)):
        marker = sorted(letters & set("LUMW"))[0]
        got = f"'{tags[marker]}' and '{tags[odd[0]]}'"
        text = f"tags: got {got}; expected the letters of one scheme, such as {', '.join(family)}."
        raise TagError(text, tags[odd[0]])
    if letters & set("EL") and "B" not in letters:
        end = tags[sorted(letters & set("EL"))[0]]
        schemes = "BIO1, BIO2, BIOES, BILOU or BMES"
        raise TagError(f"tags: got '{end}' and no B-; expected {schemes}. Convert tags of IOE to one of these.", end)
    return letters


def _chosen(letters: set[str], starts: Counter[str]) -> SchemeChoice:
    """Return the scheme that the letters and the beginnings of spans speak for."""
    spans = starts["all"]
    special = [letter for letter in "MLUWES" if letter in letters]
    if special:
        name = "BILOU" if letters & set("LU") else "BMEWO" if "W" in letters else "BMES" if "M" in letters else "BIOES"
        reason = f"tags have {' and '.join(f'{letter}-' for letter in special)}"
        return SchemeChoice(SCHEMES[name], reason, spans, spans - starts["BIOES"])
    if "B" not in letters:
        return SchemeChoice(SCHEMES["IO"], "tags have I- and no B-", spans, 0)
    fresh_b = spans - starts["BIO1"]  # begin with B- where nothing of their label stands before
    fresh_i = spans - starts["BIO2"]
    if fresh_i > fresh_b:
        share = _share(starts["BIO1"], spans)
        reason = f"{share} begin with I-, or with B- after another of their label"
        return SchemeChoice(SCHEMES["BIO1"], reason, spans, fresh_b)
    return SchemeChoice(SCHEMES["BIO2"], f"{_share(starts['BIO2'], spans)} begin with B-", spans, fresh_i)


def _share(count: int, total: int) -> str:
    return f"{count:,} of {total:,} spans"
