"""Decoding: from scores of the next token to texts, over any step function; no PyTorch."""

from rekur.decode.generate import (
    Continuation,
    Event,
    PromptReader,
    Sample,
    StepFunction,
    Writer,
    generate,
    generate_all,
)
from rekur.decode.sample import Draws, Sampler

__all__ = [
    "Continuation",
    "Draws",
    "Event",
    "PromptReader",
    "Sample",
    "Sampler",
    "StepFunction",
    "Writer",
    "generate",
    "generate_all",
]
