"""Decoding: from scores of the next token to texts, and from scores of steps to tags; no PyTorch."""

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
from rekur.decode.transitions import GreedyTags, Transitions, legal_transitions, viterbi

__all__ = [
    "Continuation",
    "Draws",
    "Event",
    "GreedyTags",
    "PromptReader",
    "Sample",
    "Sampler",
    "StepFunction",
    "Transitions",
    "Writer",
    "generate",
    "generate_all",
    "legal_transitions",
    "viterbi",
]
