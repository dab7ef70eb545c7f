"""Texts to words, characters, bytes or byte pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import RESERVED, UNKNOWN
from rekur.errors import InputError, OptionError, describe
from rekur.features import codecs, cut
from rekur.features.base import VERSION, Phrase, check_items
from rekur.features.byte_pairs import learn_merges
from rekur.features.joining import Decoder
from rekur.features.saved import check_head, damaged, field, texts, vectors_of
from rekur.features.tokens import TokenFeatures, check_text, no_tokens
from rekur.features.vocabulary import Ids, Vocabulary, rows_among, vectors_note

TOKENS = ("auto", "word", "char", "byte", "bpe")
_WORDS_OF_TEXT = 3
_DEFAULT_MAX = {"word": 20_000, "char": 20_000, "byte": 256 + RESERVED, "bpe": 8_000}
_DEFAULT_MIN = {"word": 1, "char": 1, "byte": 1, "bpe": 2}
_PLURAL = {"word": "words", "char": "characters", "byte": "bytes", "bpe": "byte pairs"}
_OPTIONS = ("tokens", "lowercase", "digits", "words", "lines", "max_vocabulary", "min_count", "max_length")
WORDS = ("auto", "marks", "spaces")
_ALONE = re.compile(r"(?<!\S)[.,](?!\S)")


class TextFeatures(TokenFeatures):
    """Texts as token numbers: 0 padding, 1 unknown, then known tokens by frequency, then alphabetically.

    ``"word"``: words, numbers, emoji and single marks; ``"char"``: Unicode characters; ``"byte"``: UTF-8 bytes,
    byte b has number b + 2 and nothing is learnt; ``"bpe"``: byte pairs merged inside pieces of text (learning
    them needs ``rekur[train]``, applying them does not); ``"auto"``: words if at least half of the training
    texts have three or more words between spaces, else characters.

    Args:
        tokens: ``"auto"``, ``"word"``, ``"char"``, ``"byte"`` or ``"bpe"``.
        lowercase: fold capitals; default None: True for words, else False.
        digits: ``"keep"``, or ``"zero"`` to read every digit as 0; default None: ``"zero"`` for words, since numbers
            are many and most are rare, else ``"keep"``.
        words: for words: where they end: at ``"marks"`` too (each is a token of its own), at ``"spaces"`` alone, as
            in texts that were cut already, or ``"auto"``: at spaces if most commas and full stops of the training
            text stand alone. Default None: ``"marks"``.
        lines: for words: whether each line end is a token; default None: True for words cut at spaces, else False.
        max_vocabulary: the most token numbers V, padding and unknown included; default None: 20 000 for words
            and characters, 8 000 for byte pairs.
        min_count: how often a token (or a pair to be merged) must occur in training to be known; default None:
            2 for byte pairs, else 1.
        max_length: the most steps of an item, from its start; None for no bound.
        vector_words: for words: those that have a trained vector. They follow the words of training in the
            vocabulary, folded as texts are, whatever its bounds are.
        vector_size: numbers of such a vector, which stand in the network; 0 for none.

    Attributes:
        tokens_: what was decided, one of ``"word"``, ``"char"``, ``"byte"``, ``"bpe"``.
        words_: ``"marks"`` or ``"spaces"``.
        vocabulary_: the known tokens.
        trained_size: number of token numbers of training, the first ones, padding and unknown included.
        known_share_: the share in [0, 1] of training tokens that are known.

    Example:
        >>> features = TextFeatures(tokens="word", min_count=1).fit(["Good film, good cast.", "A film."])
        >>> features.transform("A good plot.").tolist()
        [6, 4, 1, 2]
        >>> stream = features.stream()
        >>> [stream.push(part).tolist() for part in ("A go", "od", " plot.")], stream.pending().tolist()
        ([[6], [], [4, 1]], [2])
    """

    kind: ClassVar[str] = "text"
    takes_characters = True

    def __init__(
        self,
        tokens: str = "auto",
        *,
        lowercase: bool | None = None,
        digits: str | None = None,
        words: str | None = None,
        lines: bool | None = None,
        max_vocabulary: int | None = None,
        min_count: int | None = None,
        max_length: int | None = None,
        vector_words: Sequence[str] = (),
        vector_size: int = 0,
    ) -> None:
        self.tokens = _check.choice("tokens", tokens, TOKENS)
        self.lowercase = None if lowercase is None else _check.flag("lowercase", lowercase)
        self.digits = None if digits is None else _check.choice("digits", digits, ("keep", "zero"))
        self.words = None if words is None else _check.choice("words", words, WORDS)
        self.lines = None if lines is None else _check.flag("lines", lines)
        self.words_ = "spaces" if words == "spaces" else "marks"
        low = 256 + RESERVED if tokens in ("byte", "bpe") else RESERVED + 1
        self.max_vocabulary = None if max_vocabulary is None else _check.whole("max_vocabulary", max_vocabulary, low)
        self.min_count = None if min_count is None else _check.whole("min_count", min_count, 1)
        self.max_length = None if max_length is None else _check.whole("max_length", max_length, 1)
        self.vector_words = tuple(vector_words)
        self.vector_size = _check.whole("vector_size", vector_size, 0)
        self._vector_tokens: list[str] = []
        self._notes: list[str] = []
        self.known_share_ = 1.0
        self._codec: codecs.Codec | None = None
        if self.tokens not in ("auto", "word"):
            self._refuse_vectors()
            self._refuse("Only words are cut at marks or spaces.", words=words, lines=lines)
        if self.tokens == "byte":
            self._refuse("All 256 bytes are always known.", max_vocabulary=max_vocabulary, min_count=min_count)
            self._settle("byte", "as asked", codecs.ByteCodec(self._folding("byte")))

    def _refuse(self, fix: str, **options: Any) -> None:
        """Raise for an option that these tokens do not have."""
        for name, value in options.items():
            if value is not None:
                raise InputError(describe(name, value, f"None where tokens='{self.tokens}'", fix))

    def _refuse_vectors(self) -> None:
        if self.vector_words:
            expected = "none where tokens are no words"
            fix = "Say tokens='word' (--tokens word)."
            raise OptionError(describe("vectors", Phrase(f"those of {len(self.vector_words):,} words"), expected, fix))

    def __repr__(self) -> str:
        given = [f"{name}={getattr(self, name)!r}" for name in _OPTIONS]
        return f"TextFeatures({', '.join(entry for entry in given if not entry.endswith('=None'))})"

    @property
    def size(self) -> int:
        """Vocabulary size V, padding and unknown included."""
        return self._fitted().vocabulary.size

    @property
    def trained_size(self) -> int:
        """Number of token numbers of training, the first ones, padding and unknown included."""
        return self.size - len(self._vector_tokens)

    def vector_rows(self) -> NDArray[np.int64]:
        """Return the row among ``vector_words`` of each token, (V,); -1 for one that has no vector.

        Example:
            >>> features = TextFeatures("word", vector_words=["good", "bad"]).fit(["Good film"])
            >>> features.vocabulary_, features.vector_rows().tolist(), features.trained_size
            (('film', 'good', 'bad'), [-1, -1, -1, 0, 1], 4)
        """
        folded = self.folding_.words(list(self.vector_words))
        return np.array([-1] * RESERVED + rows_among(folded, self.vocabulary_), np.int64)

    @property
    def folding_(self) -> codecs.Folding:
        """Which differences between texts are not read: of capitals, of digits."""
        return self._folding(self.tokens_)

    @property
    def vocabulary_(self) -> tuple[str, ...]:
        """The known tokens in the order of their numbers, from 2 on; bytes by their visible names."""
        return self._fitted().vocabulary.tokens

    def fit(self, items: Iterable[Any]) -> Self:
        """Learn the vocabulary from training texts, in one pass.

        Args:
            items: texts; read once, so an iterator will do.

        Raises:
            InputError: an item is not a text, or nothing is left to be known.
        """
        self.n_truncated = 0
        if self.tokens == "byte":
            for number, item in enumerate(check_items(items), start=1):
                check_text(item, f"item {number}")
            return self
        wanted = ("word", "char") if self.tokens == "auto" else (self.tokens,)
        ways = ("marks", "spaces") if self.words == "auto" else (self.words_,)
        counts = {
            (tokens, way): Counter[str]() for tokens in wanted for way in (ways if tokens == "word" else ways[:1])
        }
        long_enough = total = alone = points = 0
        for number, item in enumerate(check_items(items), start=1):
            text = cut.whole_characters(check_text(item, f"item {number}"))
            total += 1
            long_enough += len(text.split(None, _WORDS_OF_TEXT)) >= _WORDS_OF_TEXT
            if self.words == "auto":
                points += text.count(",") + text.count(".")
                alone += len(_ALONE.findall(text))
            for (tokens, way), counter in counts.items():
                counter.update(self._units(tokens, text, way))
        tokens, reason = self.tokens, "as asked"
        if self.tokens == "auto":
            tokens = "word" if 2 * long_enough >= total else "char"
            reason = f"{long_enough} of {total} training texts have {_WORDS_OF_TEXT} or more words"
        if self.words == "auto" and tokens == "word":
            self.words_ = "spaces" if 2 * alone > points else "marks"
            reason += f"; cut at {self.words_}, as {alone} of {points} commas and full stops stand alone"
        if tokens != "word":
            self._refuse_vectors()
        self._learn(tokens, reason, counts[tokens, self.words_ if tokens == "word" else ways[0]])
        if self.vector_words:
            rows = self.vector_rows()[RESERVED : self.trained_size]
            self._notes = [vectors_note(int((rows >= 0).sum()), len(rows))]
        return self

    def notes(self) -> list[str]:
        """Return how many words of training have a trained vector; nothing of features that were saved."""
        return self._notes

    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person what is done to a text."""
        self._fitted()
        what = _PLURAL[self.tokens_]
        folding = self._folding(self.tokens_)
        rows = [("tokens", f"{what}, {self.reason_}")]
        if self.tokens_ == "word" and self.words is not None:
            rows.append(("words", f"cut at {self.words_}{' too' if self.words_ == 'marks' else ' alone'}"))
        if self.tokens_ == "word" and self._cutting(self.words_).lines:
            rows.append(("line ends", "tokens of their own"))
        rows.append(("capitals", "read as small letters" if folding.lowercase else "kept"))
        if folding.zero_digits:
            rows.append(("digits", "each read as 0"))
        if self.tokens_ == "byte":
            rows.append(("vocabulary", "all 256 bytes"))
        else:
            least = self._min_count(self.tokens_)
            seen = f"seen {'once' if least == 1 else f'{least} times'} or more in training"
            rows.append(("vocabulary", f"{self.trained_size - RESERVED:,} {what}, {seen}"))
            if self.vector_words:
                beyond = f"of {len(self.vector_words):,} words, {len(self._vector_tokens):,} beyond this vocabulary"
                rows.append(("trained vectors", beyond))
            rows.append(("known", f"{100 * self.known_share_:.1f} % of the tokens in training"))
        return rows + self._length_row()

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return the text of token numbers: words with spaces between where they are written, anything else joined.

        Padding gives nothing, an unknown token gives U+FFFD, and so do bytes that are not UTF-8.

        Args:
            ids: (T,) token numbers in [0, V).

        Example:
            >>> TextFeatures("byte").decode([2 + 72, 2 + 105])
            'Hi'
        """
        codec = self._fitted()
        numbers = np.asarray(ids, dtype=np.int64).reshape(-1)
        wrong = numbers[(numbers < 0) | (numbers >= codec.vocabulary.size)]
        if len(wrong):
            _check.whole("token number", int(wrong[0]), 0, codec.vocabulary.size - 1)
        push, finish = codec.decoder()
        return push(numbers.tolist()) + finish()

    def decoder(self) -> Decoder:
        """Return what turns token numbers into text a few at a time: ``push(numbers)``, and ``finish()`` at the end.

        Together their texts are that of :meth:`decode`. The numbers, whole ones in [0, V), are not checked.

        Example:
            >>> push, finish = TextFeatures("byte").decoder()
            >>> push([2 + 0xC3]), push([2 + 0xA4]), finish()
            ('', 'ä', '')
        """
        return self._fitted().decoder()

    def unknown(self, text: str) -> list[str]:
        """Return the words or characters of a text that are not known, each once, in their order.

        Example:
            >>> TextFeatures("char").fit(["abc"]).unknown("cab!?!")
            ['!', '?']
        """
        vocabulary = self._fitted().vocabulary
        if self.tokens_ in ("byte", "bpe"):
            return []
        units = self._units(self.tokens_, cut.whole_characters(check_text(text, "text")), self.words_)
        return list(dict.fromkeys(unit for unit in units if vocabulary.ids([unit])[0] == UNKNOWN))

    def events(self, line: str, *, by_character: bool = False) -> list[Any]:
        """Return the characters of a line, or the line; tokens that may go on in the next line have its end."""
        return list(line) if by_character else [line if self.tokens_ in ("char", "byte") else line + "\n"]

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learnt, as plain JSON."""
        codec = self._fitted()
        learnt: dict[str, Any] = {"tokens": self.tokens_, "reason": self.reason_}
        learnt |= {"known": self.known_share_, "words": self.words_}
        if isinstance(codec, codecs.PairCodec):
            learnt["merges"] = list(codec.pairs.merges)
        elif self.tokens_ != "byte":
            learnt["vocabulary"] = list(codec.vocabulary.tokens[: self.trained_size - RESERVED])
        if self.vector_words:
            learnt |= {"vector_words": list(self.vector_words), "vector_size": self.vector_size}
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": learnt}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than is known.
        """
        checked = check_head(saved, cls.kind)
        options, learnt = field(checked, "options", dict), field(checked, "learnt", dict)
        if set(options) - {"words", "lines"} != set(_OPTIONS) - {"words", "lines"}:  # older files lack these
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options, **vectors_of(learnt))
        tokens = field(learnt, "tokens", str)
        if tokens not in _PLURAL or features.tokens not in ("auto", tokens):
            raise damaged("tokens", tokens, f"what fits '{features.tokens}'")
        reason, share = field(learnt, "reason", str), field(learnt, "known", float)
        features.words_ = field(learnt, "words", str) if "words" in learnt else "marks"
        if features.words_ not in WORDS[1:] or features.words not in (None, "auto", features.words_):
            raise damaged("words", features.words_, "'marks' or 'spaces', as in the options")
        folding = features._folding(tokens)
        codec: codecs.Codec
        if tokens == "byte":
            codec = codecs.ByteCodec(folding)
        elif tokens == "bpe":
            merges = texts(learnt, "merges")
            for merge in merges:
                if not codecs.is_merge(merge):
                    raise damaged("merges", merge, "two names of bytes with a space between")
            codec = codecs.PairCodec(merges, folding)
        else:
            known = texts(learnt, "vocabulary")
            for token in known:
                if tokens == "char" and len(token) != 1:
                    raise damaged("vocabulary", token, "single characters")
            codec = features._table_codec(tokens, Vocabulary(known), folding)
        features._settle(tokens, reason, codec)
        features.known_share_ = share
        return features

    def _advance(self, rest: str, event: Any) -> tuple[Ids, str]:
        text = cut.whole_characters(check_text(event, "event"))
        return self._fitted().advance(rest + text)

    def _finish(self, rest: str) -> Ids:
        return self._fitted().whole(rest) if rest else no_tokens()

    def _whole(self, item: Any) -> Ids:
        return self._fitted().whole(cut.whole_characters(check_text(item, "text")))

    def _fitted(self) -> codecs.Codec:
        if self._codec is None:
            raise self._not_fitted()
        return self._codec

    def _settle(self, tokens: str, reason: str, codec: codecs.Codec) -> None:
        self.tokens_, self.reason_, self._codec = tokens, reason, codec

    def _folding(self, tokens: str) -> codecs.Folding:
        lowercase = tokens == "word" if self.lowercase is None else self.lowercase
        zero_digits = tokens == "word" if self.digits is None else self.digits == "zero"
        return codecs.Folding(lowercase, zero_digits)

    def _cutting(self, by: str) -> codecs.WordCutting:
        return codecs.WordCutting(by, by == "spaces" if self.lines is None else self.lines)

    def _min_count(self, tokens: str) -> int:
        return _DEFAULT_MIN[tokens] if self.min_count is None else self.min_count

    def _units(self, tokens: str, text: str, way: str) -> Sequence[str]:
        """Return what is counted of one training text; of byte pairs, the pieces they are learnt from."""
        units = codecs.units(tokens, text, self._folding(tokens), self._cutting(way))
        return units if tokens == "bpe" or self.max_length is None else units[: self.max_length]

    def _learn(self, tokens: str, reason: str, counts: Counter[str]) -> None:
        least, folding = self._min_count(tokens), self._folding(tokens)
        most = _DEFAULT_MAX[tokens] if self.max_vocabulary is None else self.max_vocabulary
        if not counts:
            fix = "Check that the right column was read."
            raise InputError(describe("items", Phrase("no token"), "texts to learn from", fix))
        if tokens == "bpe":
            merges = learn_merges(counts, max_tokens=most - RESERVED, min_count=least)
            self._settle(tokens, reason, codecs.PairCodec(merges, folding))
            self.known_share_ = 1.0
            return
        vocabulary = Vocabulary.from_counts(counts, max_size=most, min_count=least)
        if not vocabulary.tokens:
            top = max(counts.values())
            what = f"a number of times that some {tokens} occurs in training, at most {top}"
            raise OptionError(describe("min_count", least, what, f"Use min_count={top} (--min-count {top})."))
        codec = self._table_codec(tokens, vocabulary, folding)
        self._settle(tokens, reason, codec)
        self.known_share_ = codec.vocabulary.share_known(counts)

    def _table_codec(self, tokens: str, vocabulary: Vocabulary, folding: codecs.Folding) -> codecs.Codec:
        if tokens == "word":
            trained = set(vocabulary.tokens)
            words = dict.fromkeys(folding.words(list(self.vector_words)))
            self._vector_tokens = [word for word in words if word not in trained]
            if self._vector_tokens:
                vocabulary = Vocabulary([*vocabulary.tokens, *self._vector_tokens])
            return codecs.WordCodec(vocabulary, folding, self._cutting(self.words_))
        return codecs.CharacterCodec(vocabulary, folding)
