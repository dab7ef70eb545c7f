"""Models: a specification built into a network."""

from rekur.models.build import LiveState, SequenceModel, build, count_parameters
from rekur.models.live import LiveModel
from rekur.models.spec import SequenceSpec

__all__ = ["LiveModel", "LiveState", "SequenceModel", "SequenceSpec", "build", "count_parameters"]
