"""The data of a training, ready to be read: made from the training items alone.

Axes: N items.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from rekur.data import Corpus, EncodedItems, Tokens
from rekur.features import Features, TextFeatures
from rekur.targets import NextTarget, Target


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What every training reads.

    Attributes:
        features: fitted on the training data.
        target: learnt from them.
        notes: sentences on the data that a person is told before the training.
        reads: how raw items become what the model reads and predicts, plain JSON: features and targets.
        valid: the validation data as the network reads them.
    """

    features: Features
    target: Target
    notes: list[str]
    reads: dict[str, Any]
    valid: Any

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A text that changes with the training or the validation data."""


@dataclass(frozen=True, kw_only=True)
class PreparedItems(Prepared):
    """Items with labels.

    Attributes:
        train: items to train on.
        valid: items to validate on.
        examples: the former as they were read; they can be read again.
        validated: the latter as they were read; None where that is not known any more.
    """

    train: EncodedItems
    valid: EncodedItems
    examples: Corpus
    validated: Corpus | None = None

    @property
    def fingerprint(self) -> str:
        """Two sha256, of the steps and targets of each part."""
        return f"{self.train.fingerprint()}:{self.valid.fingerprint()}"


@dataclass(frozen=True, kw_only=True)
class PreparedText(Prepared):
    """Text as token numbers.

    Attributes:
        train: the training text.
        valid: the validation text; the training text itself if ``by_heart``.
        by_heart: nothing was held out, and the text is learnt by heart.
    """

    features: TextFeatures
    target: NextTarget
    train: Tokens
    valid: Tokens
    by_heart: bool

    @property
    def fingerprint(self) -> str:
        """Two sha256, of the tokens of each part."""
        return f"{self.train.fingerprint}:{self.valid.fingerprint}"
