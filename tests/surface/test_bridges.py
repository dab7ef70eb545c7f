"""Bridges: adapters between an old and a new part, which go with the part that they wait for. The list only shrinks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "rekur"


class Bridge(NamedTuple):
    """An adapter for a time.

    Attributes:
        file: where it stands.
        name: of the function.
        users: the files that use it.
        until: the change that removes it.
    """

    file: str
    name: str
    users: tuple[str, ...]
    until: str


BRIDGES: list[Bridge] = []


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda bridge: bridge.name)
def test_a_bridge_stands_where_the_list_says(bridge: Bridge) -> None:
    assert f"def {bridge.name}(" in (SOURCE / bridge.file).read_text(encoding="utf-8")
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if f"{bridge.name}(" in path.read_text(encoding="utf-8")
    }
    assert users == {bridge.file, *bridge.users}
