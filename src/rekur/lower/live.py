"""A trained model live: its program on the engine."""

from __future__ import annotations

from rekur._kernels import processors
from rekur.decode import StepFunction
from rekur.errors import NotStreamableError
from rekur.features.base import Features
from rekur.lower.lowering import lower
from rekur.models import LanguageNetwork, SequenceModel
from rekur.models.transformer import is_transformer
from rekur.program import Engine
from rekur.runtime import Model, ProgramSteps
from rekur.runtime.live_program import needs_whole
from rekur.targets import Target


def runtime_model(network: SequenceModel, task: str, features: Features, target: Target, fingerprint: str) -> Model:
    """Return a trained network as a model that runs live.

    Args:
        network: the trained network.
        task: its task.
        features: turn an item into steps.
        target: the meaning of the outputs.
        fingerprint: of the saved model; saved states of sessions belong to it alone. Empty for a model
            that is not saved.

    Raises:
        NotStreamableError: the network reads the sequence from both ends.
        InputError: a part of the network has no op, such as a custom cell.

    Example:
        >>> import numpy as np
        >>> from rekur.features import TextFeatures
        >>> from rekur.models import SequenceSpec, build
        >>> from rekur.targets import LabelTarget
        >>> features, target = TextFeatures("byte"), LabelTarget(["a", "b", "c"], multi_label=False)
        >>> spec = SequenceSpec(discrete=True, input_size=258, output_size=3, cell="gru", hidden_size=8)
        >>> model = runtime_model(build(spec, seed=0), "classify", features, target, "")
        >>> model.live().scores(np.array([4, 5])).shape
        (3,)
    """
    if not network.streams and not is_transformer(network):  # of that one lowering says more
        raise NotStreamableError(needs_whole(task, target))
    return Model(*lower(network, task), features, target, fingerprint=fingerprint)


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
        >>> steps.step(np.array([0, 0]), steps.begin(2))[0].shape
        (2, 10)
    """
    return ProgramSteps(Engine(*lower(network), threads=processors()))
