"""Lists of words as columns of ids: the word itself, its beginnings and ends, and its shape.

Axes: T tokens, C columns.
"""

from __future__ import annotations

import base64
import copy
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import RESERVED, UNKNOWN, mix
from rekur._tokenizer import CUTS, USUAL_CUT, Passage, Token, tokenize, words_of
from rekur.errors import InputError, OptionError, describe
from rekur.features import cut
from rekur.features.base import (
    VERSION,
    Encoded,
    Features,
    FeatureStream,
    Phrase,
    check_items,
)
from rekur.features.saved import check_head, damaged, field, texts, vectors_of
from rekur.features.vocabulary import Vocabulary, telling, vectors_note
from rekur.features.word_streams import TypedStream, WordStream, check_words

_OPTIONS = ("fold_case", "max_vocabulary", "min_count", "prefixes", "suffixes", "shape", "buckets", "cut")
#: the longest prefix or suffix
LONGEST_AFFIX = 8
#: characters of a shape; a longer word is cut
_LONGEST_SHAPE = 24
#: words whose ids are remembered; a word is looked up in a tenth of the time that its ids take to make
_MOST_REMEMBERED = 1 << 17

Columns = NDArray[np.int32]


class WordFeatures(Features):
    """Lists of tokens as columns of ids, int32 (T, C).

    The first column is the word: 0 padding, 1 unknown, then by frequency, then alphabetically. The other columns are
    hashes in [2, ``buckets``): of the first 1, 2, … characters, of the last 1, 2, … characters, and of the shape, in
    which capitals are ``X``, other letters ``x`` and digits ``d``, and runs of more than two are cut. They say
    something of words that training lacks. A word shorter than a prefix or suffix counts as it stands.

    A text is cut into tokens and sequences first; see :func:`rekur._tokenizer.tokenize`. The context of a list is its
    words, that of a text its tokens with their places.

    Args:
        fold_case: read capitals as small letters in all columns but the shape.
        max_vocabulary: the most word ids V, padding and unknown included; None for no bound.
        min_count: how often a word must occur in training to be known.
        prefixes: longest prefix, in [0, 8]; one column for each length from 1 on.
        suffixes: longest suffix, in [0, 8].
        shape: add a column for the shape.
        buckets: ids of each hashed column, in [3, 2**20].
        vector_words: the words, each once, that have a trained vector; they add a last column: 0 padding, 1 a word
            without a vector, then in their order. Other words are looked up in small letters too.
        vector_size: numbers of such a vector, which stand in the network; 0 for none.
        cut: the rule that cuts a text into sequences: ``"none"``, ``"line"``, ``"blank"`` or ``"sentence"``; None
            where items are lists of words.

    Attributes:
        vocabulary_: the known words.
        known_share_: the share in [0, 1] of training words that are known.

    Example:
        >>> features = WordFeatures(min_count=1, prefixes=0, suffixes=2).fit([["The", "cat"], ["the", "end"]])
        >>> features.columns
        ('word', 'suffix 1', 'suffix 2', 'shape')
        >>> features.transform(["The", "bat"])[:, 0].tolist()
        [2, 1]
        >>> bool((features.transform(["bat"])[0, 1:] == features.transform(["cat"])[0, 1:]).all())
        True
    """

    kind: ClassVar[str] = "words"
    takes_characters = True
    is_discrete = True

    def __init__(
        self,
        *,
        fold_case: bool = True,
        max_vocabulary: int | None = None,
        min_count: int = 2,
        prefixes: int = 4,
        suffixes: int = 4,
        shape: bool = True,
        buckets: int = 5000,
        vector_words: Sequence[str] = (),
        vector_size: int = 0,
        cut: str | None = None,
    ) -> None:
        self.fold_case = _check.flag("fold_case", fold_case)
        low = RESERVED + 1
        self.max_vocabulary = None if max_vocabulary is None else _check.whole("max_vocabulary", max_vocabulary, low)
        self.min_count = _check.whole("min_count", min_count, 1)
        self.prefixes = _check.whole("prefixes", prefixes, 0, LONGEST_AFFIX)
        self.suffixes = _check.whole("suffixes", suffixes, 0, LONGEST_AFFIX)
        self.shape = _check.flag("shape", shape)
        self.buckets = _check.whole("buckets", buckets, low, 2**20)
        self.vector_words = tuple(vector_words)
        self.vector_size = _check.whole("vector_size", vector_size, 0)
        self._vectors = Vocabulary(self.vector_words)
        self.cut = None if cut is None else _check.choice("cut", cut, CUTS)
        self._vocabulary: Vocabulary | None = None
        self._seen: NDArray[np.uint32] | None = None
        self._notes: list[str] = []

    def __repr__(self) -> str:
        options = [f"{name}={getattr(self, name)!r}" for name in _OPTIONS]
        return f"WordFeatures({', '.join(option for option in options if not option.endswith('=None'))})"

    @property
    def size(self) -> int:
        """Number of word ids V, padding and unknown included."""
        return self._fitted().size

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of each column, (C,)."""
        prefixes = [f"prefix {length}" for length in range(1, self.prefixes + 1)]
        suffixes = [f"suffix {length}" for length in range(1, self.suffixes + 1)]
        vectors = ["vector"] if self.vector_words else []
        return ("word", *prefixes, *suffixes, *(["shape"] if self.shape else []), *vectors)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of ids of each column, (C,)."""
        vectors = [self._vectors.size] if self.vector_words else []
        return (self.size, *[self.buckets] * (len(self.columns) - 1 - len(vectors)), *vectors)

    @property
    def vocabulary_(self) -> tuple[str, ...]:
        """The known words in the order of their ids, from 2 on."""
        return self._fitted().tokens

    def fit(self, items: Iterable[Any]) -> Self:
        """Learn the vocabulary from training items, in one pass.

        Args:
            items: lists of words.

        Raises:
            InputError: an item is no list of words, or there is no word.
            OptionError: no word occurs ``min_count`` times, and words have no other column.
        """
        words: Counter[str] = Counter()
        for number, item in enumerate(check_items(items), start=1):
            words.update(self._words(item, f"item {number}")[0])
        counts: Counter[str] = Counter()
        for word, count in words.items():
            counts[self._fold(word)] += count
        if not counts:
            fix = "Check that the right column was read."
            raise InputError(describe("items", Phrase("no word"), "lists of words to learn from", fix))
        vocabulary = Vocabulary.from_counts(counts, max_size=self.max_vocabulary, min_count=self.min_count)
        if not vocabulary.tokens and len(self.columns) == 1:
            most = max(counts.values())
            expected = f"a number of times that some word occurs in training, at most {most}"
            raise OptionError(
                describe("min_count", self.min_count, expected, f"Use min_count={most} (--min-count {most}).")
            )
        self._settle(vocabulary, vocabulary.share_known(counts), np.unique(_marks(words)))
        if self.vector_words:
            self._notes = [vectors_note(int((self._vector_ids(words) != UNKNOWN).sum()), len(words))]
        return self

    def notes(self) -> list[str]:
        """Return how many words of training have a trained vector; nothing of features that were saved."""
        return self._notes

    def transform(self, item: Any) -> Columns:
        """Return the ids of the words of an item, int32 (T, C)."""
        return self._ids(self._words(item, "item")[0])

    def encode(self, item: Any) -> Encoded:
        """Return the ids of the words of an item as the input ``steps``, and its words as context."""
        words, context = self._words(item, "item")
        return Encoded({"steps": self._ids(words)}, context)

    def seen(self, context: Any) -> NDArray[np.bool_] | None:
        """Return whether each word of a context was among the training words, letter for letter, (T,)."""
        if self._seen is None or not len(self._seen) or not isinstance(context, list):
            return None
        marks = _marks(words_of(context))
        places = np.searchsorted(self._seen, marks)  # np.isin would sort the marks of all words each time
        return np.asarray(self._seen[np.minimum(places, len(self._seen) - 1)] == marks)

    def tokens_of(self, context: Any) -> Sequence[Token] | None:
        """Return the tokens of a text with their offsets, (T,); None for a list of words.

        Example:
            >>> features = WordFeatures(min_count=1, cut="line").fit(["Ada left"])
            >>> context = features.encode("Ada left.\\nOslo").context
            >>> features.tokens_of(context)[1].start, features.begins(context), features.begins(["Ada", "left"])
            (4, [3], [])
        """
        if not isinstance(context, list) or not context or isinstance(context[0], str):
            return None
        return [entry if isinstance(entry, Token) else Token(*entry) for entry in context]

    def begins(self, context: Any) -> list[int]:
        """Return the steps at which further sequences of a text begin; none in a list of words."""
        return [step for step, token in enumerate(self.tokens_of(context) or ()) if token.begins]

    @property
    def reads_texts(self) -> bool:
        """Whether an item may be a text."""
        return self.cut is not None

    @property
    def text_cut(self) -> str:
        """The rule that cuts a running text into sequences: ``cut``, or the usual one."""
        return self.cut or USUAL_CUT

    def of_texts(self) -> Self:
        """Return features of the same words that read texts."""
        twin = copy.copy(self)
        twin.cut = self.text_cut
        return twin

    def tells(self) -> NDArray[np.bool_] | None:
        """Return which words tell something, (V,); None where an unknown word is read by its parts."""
        return telling(self.vocabulary_) if len(self.columns) == 1 else None

    def events(self, line: str, *, by_character: bool = False) -> list[Any]:
        """Return the words of a line as one event, or a line of a text with its end."""
        if not self.reads_texts:
            return [line.split()]
        return [*line, "\n"] if by_character else [line + "\n"]

    def stream(self) -> FeatureStream:
        """Return a new live sequence: of words, or of a text that is typed."""
        self._fitted()
        return WordStream(self.kind, self._ids) if self.cut is None else TypedStream(self.kind, self._ids, self.cut)

    def describe(self) -> list[tuple[str, str]]:
        """Return (subject, text) pairs that tell a person how words are read."""
        vocabulary = self._fitted()
        shown = ", ".join(vocabulary.tokens[:12]) + (", …" if len(vocabulary.tokens) > 12 else "")
        lengths = [
            f"{name} of 1 to {longest} characters" if longest > 1 else f"{name} of 1 character"
            for name, longest in (("prefixes", self.prefixes), ("suffixes", self.suffixes))
            if longest
        ]
        hashed = " and ".join([*lengths, *(["shape"] if self.shape else [])])
        texts = [] if self.cut is None else [("texts", f"cut into tokens, and into sequences by the rule '{self.cut}'")]
        return [
            *texts,
            ("capitals", "read as small letters, but for the shape" if self.fold_case else "kept"),
            ("vocabulary", f"{len(vocabulary.tokens):,}: {shown}"),
            ("known", f"{100 * self.known_share_:.1f} % of the words in training"),
            *([("trained vectors", f"of {len(self.vector_words):,} words")] if self.vector_words else []),
            *([("parts of words", f"{hashed}, hashed into {self.buckets:,} ids each")] if hashed else []),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learned, as plain JSON."""
        learned: dict[str, Any] = {"known": self.known_share_, "vocabulary": list(self.vocabulary_)}
        if self._seen is not None:
            learned["seen"] = base64.b64encode(self._seen.tobytes()).decode()
        if self.vector_words:
            learned |= {"vector_words": list(self.vector_words), "vector_size": self.vector_size}
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": learned}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than this one.
        """
        checked = check_head(saved, cls.kind)
        options, learned = field(checked, "options", dict), field(checked, "learnt", dict)
        options = {"cut": None, **options}  # bundles of an earlier Rekur lack it
        if set(options) != set(_OPTIONS):
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options, **vectors_of(learned))
        seen = None
        if "seen" in learned:
            try:
                seen = np.frombuffer(base64.b64decode(field(learned, "seen", str), validate=True), "<u4")
            except ValueError:
                raise damaged("seen", Phrase("another text"), "32-bit numbers in base64") from None
        features._settle(Vocabulary(texts(learned, "vocabulary")), field(learned, "known", float), seen)
        return features

    def _settle(self, vocabulary: Vocabulary, known_share: float, seen: NDArray[np.uint32] | None) -> None:
        self._vocabulary, self.known_share_ = vocabulary, known_share
        #: the marks of all training words, sorted; None in bundles of an earlier Rekur
        self._seen = seen
        self._remembered: dict[str, bytes] = {}

    def _fitted(self) -> Vocabulary:
        if self._vocabulary is None:
            raise self._not_fitted()
        return self._vocabulary

    def _words(self, item: Any, thing: str) -> tuple[list[str], list[Any]]:
        """Return the words of an item, and its context."""
        if isinstance(item, Passage):
            return item, list(item.tokens)
        if isinstance(item, str) and self.cut is not None:
            tokens = tokenize(item, self.cut)
            return words_of(tokens), list(tokens)
        words = check_words(item, thing)
        return words, words

    def _fold(self, word: str) -> str:
        word = cut.whole_characters(word)
        return word.lower() if self.fold_case else word

    def _ids(self, words: list[str]) -> Columns:
        """Return the ids of words, (T, C)."""
        self._fitted()
        rows = self._remembered
        unseen = [word for word in dict.fromkeys(words) if word not in rows]
        if unseen:
            made = dict(zip(unseen, map(bytes, self._make_ids(unseen)), strict=True))
            if len(rows) + len(made) <= _MOST_REMEMBERED:
                rows.update(made)
            else:
                rows = rows | made
        ids = np.frombuffer(b"".join([rows[word] for word in words]), np.int32)
        return ids.reshape(len(words), len(self.columns)).copy()

    def _make_ids(self, words: list[str]) -> Columns:
        folded = [self._fold(word) for word in words]
        columns: list[NDArray[Any]] = [self._fitted().ids(folded)]
        if self.prefixes:
            columns += self._hashes([word[: self.prefixes] for word in folded], self.prefixes)
        if self.suffixes:
            columns += self._hashes([word[: -self.suffixes - 1 : -1] for word in folded], self.suffixes)
        if self.shape:
            columns.append(self._hashes(list(map(shape_of, words)), _LONGEST_SHAPE)[-1])
        if self.vector_words:
            columns.append(self._vector_ids(words))
        return np.stack(columns, axis=1).astype(np.int32)

    def _vector_ids(self, words: Iterable[str]) -> NDArray[Any]:
        """Return the id of each word in the last column, (T,): that of its small letters where it has none."""
        ids = self._vectors.ids(words)
        return np.where(ids == UNKNOWN, self._vectors.ids(map(str.lower, words)), ids)

    def _hashes(self, parts: list[str], longest: int) -> list[NDArray[np.int64]]:
        """Return a column for each length from 1 on: hashes of the first characters of texts, in [2, buckets)."""
        codes = np.zeros((len(parts), longest), np.int64)
        for row, part in enumerate(parts):
            codes[row, : len(part)] = [ord(character) for character in part]
        keys, columns = np.zeros(len(parts), np.int64), []
        for length in range(longest):
            keys = np.where(codes[:, length] > 0, mix(keys + codes[:, length]), keys)
            columns.append(RESERVED + (keys & 0x7FFFFFFF) % (self.buckets - RESERVED))
        return columns


def _marks(words: Iterable[str]) -> NDArray[np.uint32]:
    """Return a 32-bit mark of each word, which few others share."""
    return np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], "<u4")


def shape_of(word: str) -> str:
    """Return the shape of a word: capitals are ``X``, other letters ``x``, digits ``d``, at most two in a row.

    Example:
        >>> shape_of("iPhone"), shape_of("2,000"), shape_of("U.S.")
        ('xXxx', 'd,dd', 'X.X.')
    """
    shape = ""
    for character in word[: 4 * _LONGEST_SHAPE]:
        if character.isalpha():
            character = "X" if character.isupper() else "x"
        elif character.isdigit():
            character = "d"
        if not shape.endswith(2 * character):
            shape += character
    return shape[:_LONGEST_SHAPE]
