"""Profiles of Hypothesis: all examples with ``--slow``, fewer without."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

#: examples of a test that says nothing
USUAL = 20
#: a test never draws fewer, unless it asks for fewer itself
FEWEST = 3


def register_profiles() -> None:
    """Tell Hypothesis of the profiles ``full`` and ``quick``."""
    for name, count in (("full", USUAL), ("quick", 8)):
        settings.register_profile(name, deadline=None, max_examples=count, derandomize=True, print_blob=True)


def draws(count: int, **options: Any) -> settings:
    """Return the settings of a test that draws ``count`` examples in the profile ``full``, else a share of them.

    Args:
        count: examples, 1 or more.
        options: further settings of Hypothesis.
    """
    share = settings.default.max_examples / USUAL
    return settings(max_examples=max(round(share * count), min(FEWEST, count)), **options)
