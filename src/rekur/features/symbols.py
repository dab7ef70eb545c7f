"""Sequences over an alphabet: the letters of DNA and protein, or codes of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import RESERVED
from rekur._values import CellError, code_of, holds_codes, is_row, members
from rekur.errors import DataError, InputError, OptionError, describe
from rekur.features import cut
from rekur.features.base import VERSION, Phrase, check_items, type_of
from rekur.features.saved import check_head, damaged, field, texts
from rekur.features.tokens import TokenFeatures, no_tokens
from rekur.features.vocabulary import CharacterTable, Ids, Vocabulary

#: the most characters between two separators; more is taken for a wrong separator
LONGEST_CODE = 1000
_OPTIONS = ("separator", "fold_case", "max_vocabulary", "min_count", "max_length")
#: saved only if it was given, as older versions do not know it
_NEWER = "codes"
#: marks that may separate codes but are not treated as separators
_OTHER_SEPARATORS = ",;|"


class SymbolFeatures(TokenFeatures):
    """Sequences of symbols as token numbers: 0 padding, 1 unknown, then by frequency, then alphabetically.

    A list is read code by code. A text is cut at blanks into codes if any text of the training items holds a blank
    between letters; otherwise it is read letter by letter, without white space. With a separator, a text is cut at
    each separator; space around a code and empty codes are left out.

    Args:
        separator: what stands between the codes of a text, such as ``";"``; None for blanks, letters or lists.
        fold_case: read small letters as capitals; default None: True for letters, False for codes.
        max_vocabulary: the most token numbers V, padding and unknown included; None for no bound.
        min_count: how often a symbol must occur in training to be known.
        max_length: the most steps of an item, from its start; None for no bound.
        codes: True: texts are codes with blanks between; False: letters; None: decided by the training items.

    Attributes:
        form_: ``"letters"`` or ``"codes"``.
        separator_: what ends a code in a live text: the separator, a blank where codes are cut at blanks, or None.
        vocabulary_: the known symbols.
        known_share_: the share in [0, 1] of training symbols that are known.

    Example:
        >>> features = SymbolFeatures().fit(["ACGT", "aacc"])
        >>> features.vocabulary_, features.transform("GATTANA").tolist()
        (('A', 'C', 'G', 'T'), [4, 2, 5, 5, 2, 1, 2])
        >>> SymbolFeatures().fit([["login", "buy"], ["login"]]).transform(["buy", "login"]).tolist()
        [3, 2]
        >>> SymbolFeatures().fit(["login buy", "login"]).transform("buy login").tolist()
        [3, 2]
    """

    kind: ClassVar[str] = "symbols"

    def __init__(
        self,
        separator: str | None = None,
        *,
        fold_case: bool | None = None,
        max_vocabulary: int | None = None,
        min_count: int = 1,
        max_length: int | None = None,
        codes: bool | None = None,
    ) -> None:
        if separator is not None and (
            not isinstance(separator, str) or not cut.whole_characters(separator) == separator != ""
        ):
            raise InputError(describe("separator", separator, "a text that is not empty, or None"))
        self.separator = separator
        self.fold_case = None if fold_case is None else _check.flag("fold_case", fold_case)
        low = RESERVED + 1
        self.max_vocabulary = None if max_vocabulary is None else _check.whole("max_vocabulary", max_vocabulary, low)
        self.min_count = _check.whole("min_count", min_count, 1)
        self.max_length = None if max_length is None else _check.whole("max_length", max_length, 1)
        self.codes = None if codes is None else _check.flag("codes", codes)
        if separator is not None and codes is False:
            raise InputError(describe("separator", separator, "none, as codes=False reads letters"))
        self.form_ = ""
        self._blanks = False

    def __repr__(self) -> str:
        options = [f"{name}={getattr(self, name)!r}" for name in (*_OPTIONS, _NEWER)]
        return f"SymbolFeatures({', '.join(entry for entry in options if not entry.endswith('=None'))})"

    @property
    def size(self) -> int:
        """Vocabulary size V, padding and unknown included."""
        return self._fitted().size

    @property
    def separator_(self) -> str | None:
        """What ends a code in a live text; None where a text is letters, or one code."""
        return " " if self._blanks else self.separator

    @property
    def vocabulary_(self) -> tuple[str, ...]:
        """The known symbols in the order of their numbers, from 2 on."""
        return self._fitted().tokens

    def fit(self, items: Iterable[Any]) -> Self:
        """Learn from training items the alphabet, and whether texts are letters or codes with blanks between.

        Args:
            items: texts, or lists of codes (texts or whole numbers); read twice, an iterator is kept in memory.

        Raises:
            InputError: an item is neither, letters and lists are mixed, codes have something else than blanks
                between, or nothing is left to be known.
        """
        items = check_items(items)
        items = list(items) if isinstance(items, Iterator) else items
        blanks = self._cuts_at_blanks(items)
        counts: Counter[str] = Counter()
        form = "codes" if blanks or self.separator is not None else "letters" if self.codes is False else ""
        for number, item in enumerate(items, start=1):
            if isinstance(item, str) and not item.strip():
                continue  # nothing is there, whatever a symbol is
            item_form = "letters" if isinstance(item, str) and not blanks and self.separator is None else "codes"
            if form not in ("", item_form):
                raise InputError(describe(f"item {number}", item, f"{form}, as the items before it"))
            form = item_form
            symbols = self._symbols(item, form, blanks, f"item {number}")[: self.max_length]
            if isinstance(item, str) and self.codes is None and self.separator is None:
                _refuse_other_separators(item, symbols if blanks else [item], blanks, f"item {number}")
            counts.update(symbols)
        if not counts:
            fix = "Check that the right column was read."
            raise InputError(describe("items", Phrase("no symbol"), "sequences to learn from", fix))
        most, least = self.max_vocabulary, self.min_count
        vocabulary = Vocabulary.from_counts(counts, max_size=most, min_count=least)
        if not vocabulary.tokens:
            top = max(counts.values())
            expected = f"a number of times that some symbol occurs in training, at most {top}"
            raise OptionError(describe("min_count", least, expected, f"Use min_count={top} (--min-count {top})."))
        self.n_truncated = 0
        self._settle(form, vocabulary, vocabulary.share_known(counts), blanks=blanks)
        return self

    def _cuts_at_blanks(self, items: Iterable[Any]) -> bool:
        """Return whether texts are codes separated by blanks: by the option, or if any text holds two codes."""
        if self.separator is not None or self.codes is not None:
            return self.separator is None and bool(self.codes)
        return any(isinstance(item, str) and holds_codes(item) for item in items)

    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person what is done to a sequence."""
        shown = ", ".join(self.vocabulary_[:12]) + (", …" if len(self.vocabulary_) > 12 else "")
        how = "single letters" if self.form_ == "letters" else "codes"
        between = f", cut at each '{self.separator}'" if self.separator else ", cut at blanks" if self._blanks else ""
        rows = [("symbols", how + between)]
        rows.append(("small letters", "read as capitals" if self._folds(self.form_) else "kept"))
        rows.append(("vocabulary", f"{len(self.vocabulary_):,}: {shown}"))
        rows.append(("known", f"{100 * self.known_share_:.1f} % of the symbols in training"))
        return rows + self._length_row()

    def tells(self) -> NDArray[np.bool_]:
        """Return which symbols tell something, (V,): all that are known."""
        return np.arange(self.size) >= RESERVED

    def notes(self) -> list[str]:
        """Return whether letters or codes are read."""
        return [": ".join(self.describe()[0])]

    def events(self, line: str, *, by_character: bool = False) -> list[Any]:
        """Return the letters, or the code of a line."""
        if self.form_ == "letters":
            return list(line)
        return [line + self.separator_] if self.separator_ else [[line.strip()]]

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return the symbols of token numbers, joined by the separator (codes without one by a space).

        Padding gives nothing, an unknown symbol gives U+FFFD.

        Args:
            ids: (T,) token numbers in [0, V).
        """
        vocabulary = self._fitted()
        numbers = [int(number) for number in np.asarray(ids, dtype=np.int64).reshape(-1)]
        for number in numbers:
            _check.whole("token number", number, 0, vocabulary.size - 1)
        between = self.separator or ("" if self.form_ == "letters" else " ")
        return between.join(vocabulary.name(number) or "\ufffd" for number in numbers if number)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learnt, as plain JSON."""
        tokens = list(self._fitted().tokens)
        learnt = {"form": self.form_, "known": self.known_share_, "vocabulary": tokens}
        options = {name: getattr(self, name) for name in _OPTIONS}
        if self.codes is not None:
            options[_NEWER] = self.codes
        if self._blanks:
            learnt["blanks"] = True
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": learnt}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than is known.
        """
        checked = check_head(saved, cls.kind)
        options, learnt = field(checked, "options", dict), field(checked, "learnt", dict)
        if set(options) - {_NEWER} != set(_OPTIONS):
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options)
        form, known = field(learnt, "form", str), texts(learnt, "vocabulary")
        if form not in ("letters", "codes") or (features.separator and form == "letters"):
            raise damaged("form", form, "'letters' or 'codes', and 'codes' with a separator")
        if form == "letters" and any(len(token) != 1 for token in known):
            raise damaged("vocabulary", max(known, key=len), "single letters")
        blanks = "blanks" in learnt and field(learnt, "blanks", bool)
        if blanks and (form == "letters" or features.separator is not None):
            raise damaged("blanks", blanks, "none for letters, and where there is a separator")
        features._settle(form, Vocabulary(known), field(learnt, "known", float), blanks=blanks)
        return features

    def _settle(self, form: str, vocabulary: Vocabulary, known_share: float, *, blanks: bool) -> None:
        self._blanks = blanks
        self.form_, self._vocabulary, self.known_share_ = form, vocabulary, known_share
        self._letters = CharacterTable(vocabulary, drop_spaces=True) if form == "letters" else None

    def _fitted(self) -> Vocabulary:
        if not self.form_:
            raise self._not_fitted()
        return self._vocabulary

    def _folds(self, form: str) -> bool:
        return form == "letters" if self.fold_case is None else self.fold_case

    def _ids(self, symbols: Any, thing: str) -> Ids:
        vocabulary = self._fitted()
        if self._letters is not None and isinstance(symbols, str):
            return self._letters.ids(self._fold_letters(symbols))
        return vocabulary.ids(self._symbols(symbols, self.form_, self._blanks, thing))

    def _whole(self, item: Any) -> Ids:
        return self._ids(item, "sequence")

    def _advance(self, rest: str, event: Any) -> tuple[Ids, str]:
        self._fitted()
        if self._blanks and isinstance(event, str):
            text = cut.whole_characters(rest + event)
            codes = text.split()
            rest = codes.pop() if text and not text[-1].isspace() else ""
            if len(rest) > LONGEST_CODE:
                raise _too_long("event", rest)
            return self._vocabulary.ids(self._clean(codes, "event")), rest
        if self.separator is not None and isinstance(event, str):
            *complete, rest = cut.whole_characters(rest + event).split(self.separator)
            if len(rest) >= LONGEST_CODE + len(self.separator):
                raise _too_long("event", rest)
            return self._vocabulary.ids(self._clean(complete, "event")), rest
        if rest:
            fix = f"Push '{self.separator_}' first, to end the code '{rest[:40]}'."
            raise InputError(describe("event", type_of(event), "a text", fix))
        is_code = self.form_ == "codes" and not (event is None or is_row(event))
        return self._ids([event] if is_code else event, "event"), ""

    def _finish(self, rest: str) -> Ids:
        return self._whole(rest) if rest else no_tokens()

    def _symbols(self, item: Any, form: str, blanks: bool, thing: str) -> Sequence[str]:
        """Return the symbols of one whole item, folded."""
        if isinstance(item, str):
            if self.separator is not None or blanks:
                return self._clean(cut.whole_characters(item).split(None if blanks else self.separator), thing)
            if form == "letters":
                return "".join(self._fold_letters(item).split())
            if not item.strip():
                return []
            fix = "Put the codes into a list, or say what separates them: separator=' '."
            raise InputError(describe(thing, item, "a list of codes", fix))
        if form == "letters" or not is_row(item):
            expected = "a text of letters" if form == "letters" else "a text or a list of codes"
            raise InputError(describe(thing, type_of(item), expected))
        return [self._fold_code(_code(code, f"{thing}, step {step}")) for step, code in enumerate(members(item), 1)]

    def _clean(self, codes: list[str], thing: str) -> list[str]:
        for code in codes:
            if len(code) > LONGEST_CODE:
                raise _too_long(thing, code)
        return [self._fold_code(stripped) for code in codes if (stripped := code.strip())]

    def _fold_code(self, code: str) -> str:
        code = cut.whole_characters(code)
        return code.upper() if self._folds("codes") else code

    def _fold_letters(self, text: str) -> str:
        text = cut.whole_characters(text)
        return cut.upper_characters(text) if self._folds("letters") else text


def _code(value: Any, thing: str) -> str:
    """Return a code of a list as text."""
    try:
        code = code_of(value)
    except CellError:
        raise DataError(describe(thing, type_of(value), "a code: a text or a whole number")) from None
    if not code:
        raise DataError(f"{thing}: got nothing; expected a code: a text or a whole number.")
    return code


def _refuse_other_separators(item: str, codes: Sequence[str], blanks: bool, thing: str) -> None:
    """Raise where codes seem to have something else than blanks between, or besides."""
    odd = (mark for code in codes for mark in _OTHER_SEPARATORS if (code.endswith(mark) if blanks else mark in code))
    if (mark := next(odd, "")) != "":
        fix = f"Write blanks only between codes, or choose codes={blanks} ({'--codes' if blanks else '--letters'}) "
        fix += f"if '{mark}' is part of a {'code' if blanks else 'sequence'}."
        raise InputError(describe(thing, item, "letters, or codes with blanks between", fix))


def _too_long(thing: str, code: str) -> DataError:
    expected = f"codes of at most {LONGEST_CODE} characters between separators"
    return DataError(describe(thing, code, expected, "Check the separator."))
