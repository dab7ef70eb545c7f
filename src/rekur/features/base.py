"""What features are: a map from a raw item to steps, fitted on training items only, saved, and able to stream."""

from __future__ import annotations

import copy
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rekur._tokenizer import Token
from rekur.errors import InputError, NotFittedError, SaveError, describe

#: int32 (T,) token numbers, or float32 (T, D) values
Steps = NDArray[Any]

#: the file that :meth:`Features.save` writes, and the version of what stands in it
FILE_NAME = "features.json"
VERSION = 1


class Encoded(NamedTuple):
    """An item as its network reads it, with what the network never sees.

    Attributes:
        inputs: name -> steps: int32 (T,) token numbers, int32 (T, C) columns of numbers, or float32 (T, D) values.
        context: what decoding, showing and scoring need of the item: a list with one entry a step, such as a word and
            its place; a dict for the item, such as its scale; or None. The features that made it say what it means:
            :meth:`Features.begins`, :meth:`Features.tokens_of` and :meth:`Features.seen`.
    """

    inputs: dict[str, Steps]
    context: Any = None

    @property
    def read(self) -> Any:
        """The steps; several inputs by name."""
        return self.inputs if len(self.inputs) > 1 else next(iter(self.inputs.values()))

    @property
    def length(self) -> int:
        """The number of steps; 0 of several inputs, which are a window."""
        return 0 if len(self.inputs) > 1 else len(self.read)


class FeatureStream(ABC):
    """One live sequence: raw events in, steps out as soon as they are certain.

    For every way to cut an item into events, all that :meth:`push` returned, followed by :meth:`pending`,
    equals ``features.transform(item)``. An event that raises leaves the stream as it was.
    """

    @property
    def taken(self) -> int | None:
        """How many steps were taken, where none is certain before the end; else None."""
        return None

    @property
    def waits_for(self) -> str:
        """What is needed before anything can be said, as a phrase; empty where nothing lacks."""
        return ""

    @abstractmethod
    def push(self, event: Any) -> Steps:
        """Take one raw event and return the steps that are now certain, maybe none."""

    @abstractmethod
    def pending(self) -> Steps:
        """Return the steps that would follow if the sequence ended here; changes nothing."""

    def encode(self, event: Any) -> Encoded:
        """Take one raw event as :meth:`push` does; return the inputs that are now certain, and their context."""
        return Encoded({"steps": self.push(event)})

    def finish(self) -> Encoded:
        """Return the inputs of :meth:`pending` by name, and their context; changes nothing."""
        return Encoded({"steps": self.pending()})

    def begin(self, items: Iterable[Any]) -> None:
        """Take items as if they had been pushed.

        Raises:
            InputError: such a stream begins with nothing.
        """
        raise InputError("stream: got items to begin with; expected none for features that read one item a stream.")

    def ahead_of(self, event: Any) -> tuple[Encoded, int, float]:
        """Return the encoded events before an observation, how many steps come between, and its value.

        Raises:
            InputError: such a stream takes no single observations.
        """
        raise InputError("event: got one to be placed; expected a model that forecasts distributions.")

    @abstractmethod
    def reset(self) -> None:
        """Forget the sequence: what follows is a new one."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return what is remembered, as plain JSON."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned.

        Raises:
            InputError: it is not a state of such a stream; the stream stays as it was.
        """

    def copy(self) -> Self:
        """Return a second stream that stands at the same place and then goes its own way."""
        twin = copy.copy(self)
        twin.set_state(self.get_state())
        return twin


class Features(ABC):
    """A map from a raw item to steps; learnt on training items by :meth:`fit`, then never changed."""

    kind: ClassVar[str]
    #: whether the characters of a live text may be events by themselves
    takes_characters: ClassVar[bool] = False
    #: whether a network reads parts of an item, which :meth:`parts` gives
    cuts_items: ClassVar[bool] = False
    #: True where steps are token numbers in [0, size), False where they are rows of ``size`` numbers
    is_discrete: ClassVar[bool]

    @property
    def options(self) -> dict[str, Any]:
        """The arguments with which these features were made."""
        names = list(inspect.signature(type(self)).parameters)
        values = {name: getattr(self, name) for name in names}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def reads_texts(self) -> bool:
        """Whether an item may be a text."""
        return False

    @property
    def text_cut(self) -> str | None:
        """The rule that cuts a running text into sequences of tokens; None where texts are not cut."""
        return None

    def of_texts(self) -> Features:
        """Return the same features such that they read texts, where a rule cuts these; else themselves."""
        return self

    @property
    @abstractmethod
    def size(self) -> int:
        """Vocabulary size V, or number of values D a step."""

    @abstractmethod
    def fit(self, items: Iterable[Any]) -> Self:
        """Learn from training items, in one pass."""

    @abstractmethod
    def transform(self, item: Any) -> Steps:
        """Return the steps of one whole item: int32 (T,) or float32 (T, D)."""

    def encode(self, item: Any) -> Encoded:
        """Return the inputs of one whole item by name, and its context: one input ``steps``, and no context."""
        return Encoded({"steps": self.transform(item)})

    def parts(self, item: Any, *, use: str, stride: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield the parts of an item that a network reads, each with its label; None for one that is to be predicted.

        Args:
            item: as it was read.
            use: ``"prediction"`` or ``"evaluation"``.
            stride: steps between parts that are evaluated; None for the last part alone.
        """
        yield item, None

    def is_part(self, item: Any) -> bool:
        """Return whether an item is one that a network reads, and not one that :meth:`parts` cuts."""
        return not self.cuts_items

    def encode_many(self, items: Iterable[Any]) -> Iterable[Encoded]:
        """Return the same for many items, in their order, one at a time as they are read."""
        return map(self.encode, items)

    def for_training(self) -> Any:
        """Return what encodes the items of training by its ``encode_many``: these features, by default."""
        return self

    def seen(self, context: Any) -> NDArray[np.bool_] | None:
        """Return whether training had the token of each entry of a context, (T,); None if that is not known."""
        return None

    def tells(self) -> NDArray[np.bool_] | None:
        """Return whether a token of each number tells something of an item, (V,); None if every step does.

        An item with unknown tokens that has no telling token is said to hold nothing that the model knows.
        """
        return None

    def notes(self) -> list[str]:
        """Return what was decided by the training items, in sentences that a person is told before a training."""
        return []

    def events(self, line: str, *, by_character: bool = False) -> list[Any]:
        """Return the events of a live sequence that a line of input holds; of rows of numbers a reader knows them.

        Args:
            line: without its end.
            by_character: each character is an event, where :attr:`takes_characters`.
        """
        return [line]

    def tokens_of(self, context: Any) -> Sequence[Token] | None:
        """Return the tokens of the text that a context belongs to, with their offsets, (T,).

        Args:
            context: of an item or of a piece of one, as these features made it, or as JSON gives it back.

        Returns:
            None where the item is no text that was cut into tokens.
        """
        return None

    def begins(self, context: Any) -> list[int]:
        """Return the steps at which further sequences of an item begin, rising; here an item is one sequence.

        A network runs each sequence by itself, and a target decodes it by itself.

        Args:
            context: as for :meth:`tokens_of`; in that of a later piece of an item step 0 may be one of them.
        """
        return []

    @abstractmethod
    def stream(self) -> FeatureStream:
        """Return a new live sequence."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learnt, with ``kind`` and ``version``, as plain JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described."""

    @abstractmethod
    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person what is done to an item."""

    def save(self, folder: Path) -> None:
        """Write ``features.json`` into an existing folder.

        Raises:
            SaveError: the file could not be written.
        """
        path = Path(folder) / FILE_NAME
        text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        try:
            path.write_text(text + "\n", encoding="utf-8", newline="\n")
        except OSError as error:
            got, fix = error.strerror or str(error), "Make room, or choose another folder."
            raise SaveError(describe(str(path), got, "a file that can be written", fix)) from error

    def _not_fitted(self) -> NotFittedError:
        return NotFittedError(f"{type(self).__name__}: not fitted yet. Call fit(training_items) first.")


def empty_steps(size: int | None) -> Steps:
    """Return no steps: int32 (0,) where ``size`` is None, else float32 (0, size)."""
    return np.empty(0, np.int32) if size is None else np.empty((0, size), np.float32)


def check_items(items: Any) -> Iterable[Any]:
    """Return ``items``, unless it is one text or no collection at all."""
    if isinstance(items, str | bytes | dict) or not isinstance(items, Iterable):
        got = items if isinstance(items, str) else type_of(items)
        raise InputError(describe("items", got, "a list of training items", "Put a single item into a list."))
    return items


def check_state(state: Any, kind: str, fields: dict[str, type]) -> dict[str, Any]:
    """Return a stream's state if it is of this kind and has these fields, each of its type."""
    thing, fix = f"state of a {kind} stream", "Use what get_state() of such a stream returned."
    if not isinstance(state, dict):
        raise InputError(describe(thing, type_of(state), "a dict", fix))
    wanted = {"kind": str, **fields}
    if set(state) != set(wanted):
        got = "the keys " + (", ".join(sorted(map(str, state))) or "of an empty dict")
        raise InputError(describe(thing, Phrase(got), "the keys " + ", ".join(sorted(wanted)), fix))
    if state["kind"] != kind:
        raise InputError(describe(thing, state["kind"], f"kind '{kind}'", fix))
    for name, wanted_type in fields.items():
        if type(state[name]) is not wanted_type:
            got = f"'{name}' as {type(state[name]).__name__}"
            raise InputError(describe(thing, Phrase(got), f"'{name}' as {wanted_type.__name__}", fix))
    return state


class Phrase:
    """A phrase that an error text prints without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def type_of(value: object) -> Phrase:
    """Return the name of a value's type with its article, for an error text."""
    name = type(value).__name__
    return Phrase(f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}")
