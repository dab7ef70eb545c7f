"""A saved model that answers: from raw items to predictions, on the engine; no PyTorch.

Axes: N items, K scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, NotStreamableError, describe
from rekur.runtime.answering import Answering
from rekur.runtime.bundle import Bundle
from rekur.runtime.content import check_match
from rekur.runtime.program_model import NEEDS_WHOLE, ProgramModel
from rekur.runtime.saved_model import SavedModel
from rekur.runtime.session import Session
from rekur.targets import LabelTarget, restore_target

#: items that are run at once
_ITEMS = 256


class Predictor(Answering, SavedModel):
    """A classifier or a regressor as it was saved.

    Args:
        bundle: as :func:`rekur.runtime.read_bundle` returned it.
        threads: most threads of the kernels; None for all processors.

    Attributes:
        bundle: the bundle.
        task: ``classify`` or ``regress``.
        features_: what turns an item into steps.
        target_: what the scores mean.
        label_type: how labels are read from a file: ``class``, ``classes`` or ``number``.

    Example:
        >>> import rekur
        >>> rekur.load("runs/reviews").predict(["a fine film"])  # doctest: +SKIP
        array(['good'], dtype='<U4')
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        super().__init__(bundle, threads=threads)
        self.features_ = bundle.features()
        self.target_ = restore_target(bundle.config["targets"], self.task)
        self.label_type = self.target_.label_type
        check_match(bundle.folder, self.features_, self.engine.program, self.target_.size)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), in the order of ``classes_``.

        Raises:
            InputError: the model gives numbers, not classes.
        """
        return self._classes().decode(self.scores(X))

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in order; (K,)."""
        return self._classes().classes

    def stream(self) -> Session[Any]:
        """Return a live session: push raw events, get the prediction so far.

        Raises:
            NotStreamableError: the model reads the sequence from both ends.
        """
        if not self.engine.program.causal:
            raise NotStreamableError(NEEDS_WHOLE)
        model = ProgramModel(self.engine, self.bundle.fingerprint)
        return Session(model, self.features_, self.target_.answer)

    def outputs_of_steps(self, steps: Any) -> NDArray[Any]:
        parts = [
            self.engine.run([steps[row] for row in range(start, min(start + _ITEMS, len(steps)))])
            for start in range(0, len(steps), _ITEMS)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.target_.size), np.float32)

    def _classes(self) -> LabelTarget:
        if not isinstance(self.target_, LabelTarget):
            fix = "predict gives the numbers."
            raise InputError(describe("model", f"one of the task {self.task}", "one of the task classify", fix))
        return self.target_
