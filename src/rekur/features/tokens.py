"""What features that give token numbers share: a bounded length, and a stream that holds back uncertain text."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, describe
from rekur.features.base import Features, FeatureStream, check_state, type_of
from rekur.features.vocabulary import Ids, telling


class TokenFeatures(Features):
    """Features whose steps are token numbers.

    Attributes:
        max_length: the most steps of an item; those after it are cut off, and ``n_truncated`` counts the item.
        n_truncated: how many items and streams were cut off since these features were fitted or loaded.
    """

    is_discrete = True
    reads_texts = True
    max_length: int | None
    n_truncated: int = 0

    @property
    @abstractmethod
    def vocabulary_(self) -> tuple[str, ...]:
        """The known tokens in the order of their numbers, from 2 on."""

    def tells(self) -> NDArray[np.bool_]:
        """Return which tokens tell something, (V,): those with a letter or a digit."""
        return telling(self.vocabulary_)

    @abstractmethod
    def _advance(self, rest: str, event: Any) -> tuple[Ids, str]:
        """Return the numbers that are certain when ``event`` follows ``rest``, and the new uncertain rest."""

    @abstractmethod
    def _finish(self, rest: str) -> Ids:
        """Return the numbers of an uncertain rest after which nothing follows."""

    @abstractmethod
    def _whole(self, item: Any) -> Ids:
        """Return the numbers of a whole item."""

    def _clip(self, ids: Ids, before: int = 0) -> Ids:
        """Return what of ``ids`` is within ``max_length`` when ``before`` numbers came earlier."""
        return ids if self.max_length is None else ids[: max(0, self.max_length - before)]

    def transform(self, item: Any) -> Ids:
        """Return the token numbers of one whole item, int32 (T,)."""
        ids = self._whole(item)
        self._count_cut(0, len(ids))
        return self._clip(ids)

    def stream(self) -> TokenStream:
        """Return a new live sequence."""
        _ = self.size  # raises where not fitted
        return TokenStream(self)

    def _count_cut(self, before: int, after: int) -> None:
        if self.max_length is not None and before <= self.max_length < after:
            self.n_truncated += 1

    def _length_row(self) -> list[tuple[str, str]]:
        if self.max_length is None:
            return []
        cut = f"{self.n_truncated} longer {'item' if self.n_truncated == 1 else 'items'} cut off so far"
        return [("length", f"at most {self.max_length} steps; {cut}")]


_NONE = np.empty(0, np.int32)
_NONE.flags.writeable = False


class TokenStream(FeatureStream):
    """A live sequence of tokens: remembers the text of the last one, while more of it may follow."""

    def __init__(self, features: TokenFeatures) -> None:
        self._features = features
        self._rest = ""
        self._steps = 0

    def push(self, event: Any) -> Ids:
        """Take the next part of the item and return the token numbers that are now certain, int32 (T,)."""
        ids, rest = self._features._advance(self._rest, event)
        if self._features.max_length is None:
            self._rest, self._steps = rest, self._steps + len(ids)
            return ids
        steps = self._steps + len(ids)
        self._features._count_cut(self._steps, steps)
        clipped = self._features._clip(ids, self._steps)
        self._rest, self._steps = rest, steps
        return clipped

    def pending(self) -> Ids:
        """Return the token numbers that would follow if the item ended here, int32 (T,)."""
        if not self._rest:
            return _NONE
        return self._features._clip(self._features._finish(self._rest), self._steps)

    def reset(self) -> None:
        """Forget the item: what follows is a new one."""
        self._rest, self._steps = "", 0

    def get_state(self) -> dict[str, Any]:
        """Return the uncertain text and the number of steps so far, as plain JSON."""
        return {"kind": self._features.kind, "rest": self._rest, "steps": self._steps}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        kind = self._features.kind
        checked = check_state(state, kind, {"rest": str, "steps": int})
        rest, steps = checked["rest"], checked["steps"]
        if steps < 0:
            raise InputError(describe(f"state of a {kind} stream, 'steps'", steps, "a whole number of 0 or more"))
        if rest and not self._is_uncertain(rest):
            raise InputError(
                describe(
                    f"state of a {kind} stream, 'rest'",
                    rest,
                    "text that these features would hold back",
                    "The state belongs to other features, or was edited.",
                )
            )
        self._rest, self._steps = rest, steps

    def _is_uncertain(self, rest: str) -> bool:
        try:
            certain, kept = self._features._advance("", rest)
        except InputError:
            return False
        return len(certain) == 0 and kept == rest


def check_text(item: Any, what: str) -> str:
    """Return ``item`` if it is a text; ``what`` says whose place it took."""
    if isinstance(item, str):
        return str(item)
    got = item if item is None else type_of(item)
    fix = "A missing text is best left out, or given as ''." if item is None else ""
    raise InputError(describe(what, got, "a text", fix))


def no_tokens() -> Ids:
    """Return int32 (0,)."""
    return np.empty(0, np.int32)
