"""Live sequences of words, and of texts that are typed, as tokens with their places.

Axes: T tokens, C columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rekur._tokenizer import Token, TokenStream, words_of
from rekur._values import is_row, members
from rekur.errors import InputError, describe
from rekur.features.base import Encoded, FeatureStream, Phrase, Steps, check_state, type_of


class WordStream(FeatureStream):
    """A live sequence of words: each is certain at once.

    Args:
        kind: of the features.
        ids: words -> their ids, int32 (T, C).
    """

    def __init__(self, kind: str, ids: Callable[[list[str]], Steps]) -> None:
        self._kind, self._ids = kind, ids

    def push(self, event: Any) -> Steps:
        """Take the next word, or a list of words, and return their ids, int32 (T, C)."""
        return self._ids(check_words([event] if isinstance(event, str) else event, "event"))

    def encode(self, event: Any) -> Encoded:
        """Take the next word, or a list of words; return their ids as the input ``steps``, and the words as context."""
        words = check_words([event] if isinstance(event, str) else event, "event")
        return Encoded({"steps": self._ids(words)}, words)

    def finish(self) -> Encoded:
        """Return no ids and no words."""
        return Encoded({"steps": self.pending()}, [])

    def pending(self) -> Steps:
        """Return no ids, int32 (0, C)."""
        return self._ids([])

    def reset(self) -> None:
        """Begin a new sequence."""

    def get_state(self) -> dict[str, Any]:
        """Return the kind of the stream; nothing else is remembered."""
        return {"kind": self._kind}

    def set_state(self, state: dict[str, Any]) -> None:
        """Check a state of :meth:`get_state`."""
        check_state(state, self._kind, {})


class TypedStream(FeatureStream):
    """A live text: a token is certain when a character that ends it has come.

    Args:
        kind: of the features.
        ids: tokens -> their ids, int32 (T, C).
        cut: the rule that cuts the text into sequences; see :func:`rekur._tokenizer.tokenize`.
    """

    def __init__(self, kind: str, ids: Callable[[list[str]], Steps], cut: str) -> None:
        self._kind, self._ids, self._cut = kind, ids, cut
        self.reset()

    def push(self, event: Any) -> Steps:
        """Take the next piece of the text, and return the ids of the tokens that are certain, int32 (T, C)."""
        return self.encode(event).inputs["steps"]

    def encode(self, event: Any) -> Encoded:
        """Take the next piece of the text; return the ids of the certain tokens as ``steps``, and the tokens."""
        if not isinstance(event, str):
            raise InputError(describe("event", type_of(event), "the next piece of the text"))
        return self._encoded(self._tokens.push(event))

    def finish(self) -> Encoded:
        """Return the ids of the tokens that follow if the text ends here, and the tokens; changes nothing."""
        return self._encoded(self._tokens.finish())

    def pending(self) -> Steps:
        """Return the ids of the tokens that follow if the text ends here, int32 (T, C)."""
        return self.finish().inputs["steps"]

    def reset(self) -> None:
        """Begin a new text."""
        self._tokens = TokenStream(self._cut)

    def get_state(self) -> dict[str, Any]:
        """Return the text that is not certain yet, its place, and the state of the rule."""
        return {"kind": self._kind, "tokens": self._tokens.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        check_state(state, self._kind, {"tokens": dict})
        tokens = TokenStream(self._cut)
        try:
            tokens.set_state(state["tokens"])
        except (KeyError, TypeError, ValueError) as error:
            fix = "Use what get_state() of such a stream returned."
            raise InputError(
                describe("state of a words stream", Phrase("another one"), "that of a text", fix)
            ) from error
        self._tokens = tokens

    def _encoded(self, tokens: list[Token]) -> Encoded:
        return Encoded({"steps": self._ids(words_of(tokens))}, list(tokens))


def check_words(item: Any, thing: str) -> list[str]:
    """Return an item as a list of words.

    Args:
        item: a list, a tuple or an array of texts; may be empty.
        thing: the name of the item in messages.

    Raises:
        InputError: it is no list, or an entry is no text or blank.

    Example:
        >>> check_words(("Ada", "left"), "item")
        ['Ada', 'left']
    """
    if not is_row(item):
        fix = "Put its words into a list." if isinstance(item, str) else ""
        raise InputError(describe(thing, item if isinstance(item, str) else type_of(item), "a list of words", fix))
    words = list(members(item))
    for number, word in enumerate(words, start=1):
        if type(word) is not str:
            if not isinstance(word, str):
                got = Phrase("nothing") if word is None else type_of(word)
                raise InputError(describe(f"{thing}, word {number}", got, "a text"))
            words[number - 1] = str(word)
        if not word or word.isspace():
            expected = "one character or more that is no blank"
            raise InputError(describe(f"{thing}, word {number}", word, expected))
    return words
