"""Decoding: from scores of the next token to texts and sequences, and from scores of steps to tags; no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.decode.beam import beam_search
    from rekur.decode.follow import greedy_search, sample_sequences
    from rekur.decode.hypotheses import Hypothesis, choose_alpha
    from rekur.decode.rules import Rules, length_limits
    from rekur.decode.sample import Draws, Sampler
    from rekur.decode.steps import PromptReader, StepFunction
    from rekur.decode.transitions import GreedyTags, Transitions, legal_transitions, viterbi
    from rekur.decode.writer import (
        Continuation,
        Event,
        Sample,
        Writer,
        generate,
        generate_all,
    )

__all__ = [
    "Continuation",
    "Draws",
    "Event",
    "GreedyTags",
    "Hypothesis",
    "PromptReader",
    "Rules",
    "Sample",
    "Sampler",
    "StepFunction",
    "Transitions",
    "Writer",
    "beam_search",
    "choose_alpha",
    "generate",
    "generate_all",
    "greedy_search",
    "legal_transitions",
    "length_limits",
    "sample_sequences",
    "viterbi",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "beam": "beam_search",
        "follow": "greedy_search sample_sequences",
        "hypotheses": "Hypothesis choose_alpha",
        "rules": "Rules length_limits",
        "sample": "Draws Sampler",
        "transitions": "GreedyTags Transitions legal_transitions viterbi",
        "steps": "PromptReader StepFunction",
        "writer": "Continuation Event Sample Writer generate generate_all",
    },
)
