"""Decoding: from scores of the next token to texts, and from scores of steps to tags; no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.decode.sample import Draws, Sampler
    from rekur.decode.transitions import GreedyTags, Transitions, legal_transitions, viterbi
    from rekur.decode.writer import (
        Continuation,
        Event,
        PromptReader,
        Sample,
        StepFunction,
        Writer,
        generate,
        generate_all,
    )

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

__getattr__, __dir__ = lazily(
    __name__,
    {
        "sample": "Draws Sampler",
        "transitions": "GreedyTags Transitions legal_transitions viterbi",
        "writer": "Continuation Event PromptReader Sample StepFunction Writer generate generate_all",
    },
)
