"""Models: a specification built into a network."""

from rekur.models.build import SequenceModel, build, count_parameters
from rekur.models.language import LanguageNetwork, LanguageState, build_language
from rekur.models.language_spec import LanguageSpec
from rekur.models.spec import SequenceSpec

__all__ = [
    "LanguageNetwork",
    "LanguageSpec",
    "LanguageState",
    "SequenceModel",
    "SequenceSpec",
    "build",
    "build_language",
    "count_parameters",
]
