"""A trained model live: its program on the engine."""

from __future__ import annotations

from rekur._kernels import processors
from rekur.decode import StepFunction
from rekur.errors import NotStreamableError
from rekur.lower.lowering import lower
from rekur.models import LanguageNetwork, SequenceModel
from rekur.program import Engine
from rekur.runtime import ProgramModel, ProgramSteps, StepModel
from rekur.runtime.program_model import NEEDS_WHOLE


def live_model(model: SequenceModel, task: str, fingerprint: str) -> StepModel:
    """Return the model that a session steps.

    Args:
        model: the trained model.
        task: its task.
        fingerprint: of the saved model; saved states belong to it alone.

    Raises:
        NotStreamableError: the model reads the sequence from both ends.
        InputError: a part of the model has no op, such as a custom cell.

    Example:
        >>> import numpy as np
        >>> from rekur.models import SequenceSpec, build
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, cell="gru", hidden_size=8)
        >>> live_model(build(spec, seed=0), "classify", "").live().scores(np.array([4, 5])).shape
        (3,)
    """
    if not model.streams:
        raise NotStreamableError(NEEDS_WHOLE)
    return ProgramModel(Engine(*lower(model, task), threads=processors()), fingerprint)


def step_function(network: LanguageNetwork) -> StepFunction:
    """Return the function that scores the next token of a batch of texts.

    Args:
        network: the trained network.

    Raises:
        InputError: a part of the network has no op, such as a custom cell.

    Example:
        >>> import numpy as np
        >>> from rekur.models import LanguageSpec, build_language
        >>> steps = step_function(build_language(LanguageSpec(vocabulary_size=10, hidden_size=8), seed=0))
        >>> steps.step(np.array([0, 0]), steps.initial_state(2))[0].shape
        (2, 10)
    """
    return ProgramSteps(Engine(*lower(network), threads=processors()))
