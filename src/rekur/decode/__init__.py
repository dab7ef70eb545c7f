"""Decoding: from the scores of what comes next to texts, over any step function; no PyTorch."""

from rekur.decode.generate import Event, Sample, StepFunction, generate
from rekur.decode.sample import Sampler

__all__ = ["Event", "Sample", "Sampler", "StepFunction", "generate"]
