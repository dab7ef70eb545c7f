"""Counts that may only fall: import cycles, vague names and odd phrases in each package.

After a change that lowers counts, write the new ones to ``ratchets.json``:

    python tests/surface/ratchets.py
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rekur"
FILE = Path(__file__).with_name("ratchets.json")

#: names that do not say what they hold
VAGUE = frozenset(["found", "given", "what", "place", "one", "own", "known", "after", "before", "kept", "wanted"])
#: phrases that must be read twice
ODD = re.compile(
    r"\b(?:what is|of which|none that|that is none|such as is none|gone on with|go on with|which (?:it|this) has not"
    r"|has not\b(?! been)|so many|each of its own|where there (?:is|are) (?:one|none|some))\b"
)


def modules() -> dict[str, Path]:
    """Return dotted name -> path for every module of the package."""
    named = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ["rekur", *path.relative_to(SOURCE).with_suffix("").parts]
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def package_of(path: Path) -> str:
    """Return the package, or the single module, that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, names: Iterable[str]) -> set[str]:
    """Return the modules among ``names`` that a module imports at its top, in functions or for types."""
    all_modules, targets = set(names), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules_named = inner & all_modules
            targets |= modules_named
            if len(modules_named) < len(inner):
                targets.add(node.module)
    return targets & all_modules


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of two modules or more (Tarjan's algorithm)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        numbers[node] = lowest[node] = len(numbers)
        stack.append(node)
        for target in sorted(edges[node]):
            if target not in numbers:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], numbers[target])
        if lowest[node] == numbers[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(edges):
        if node not in numbers:
            visit(node)
    return groups


def vague_names(tree: ast.AST) -> int:
    """Return how often a variable or a parameter has a vague name."""
    bound = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    parameters = [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    return sum(name in VAGUE for name in bound + parameters)


def odd_phrases(text: str) -> int:
    """Return the number of odd phrases in comments, docstrings and messages."""
    kinds = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(len(ODD.findall(" ".join(token.string.split()))) for token in tokens if token.type in kinds)


def counts() -> dict[str, dict[str, int]]:
    """Return subject -> package -> count, without counts of zero."""
    named = modules()
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in named.items()}
    inside = {name: {t for t in imported(trees[name], named) if t != name} for name in named}
    # the __init__ of a package re-exports its modules, so it is not part of a cycle
    entrances = {name for name, path in named.items() if path.name == "__init__.py"}
    edges = {name: targets - entrances for name, targets in inside.items() if name not in entrances}
    totals = {"import cycles": Counter[str](), "vague names": Counter[str](), "odd phrases": Counter[str]()}
    for group in cycles(edges):
        totals["import cycles"][package_of(named[group[0]])] += 1
    for name, path in named.items():
        totals["vague names"][package_of(path)] += vague_names(trees[name])
        totals["odd phrases"][package_of(path)] += odd_phrases(path.read_text(encoding="utf-8"))
    return {subject: dict(sorted((p, n) for p, n in each.items() if n)) for subject, each in totals.items()}


def differences(now: dict[str, dict[str, int]], limits: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield a sentence for each count above its limit, and for each limit that can be lowered."""
    for subject, each in now.items():
        for package in sorted(each.keys() | limits[subject].keys()):
            count, limit = each.get(package, 0), limits[subject].get(package, 0)
            if count > limit:
                yield f"{subject} in {package}: got {count}; expected at most {limit}."
            elif count < limit:
                yield f"{subject} in {package}: fell from {limit} to {count}. Run `python tests/surface/ratchets.py`."


def main() -> int:
    """Write the current counts, unless one is above its limit; return the exit code."""
    now, limits = counts(), json.loads(FILE.read_text(encoding="utf-8"))
    rose = [text for text in differences(now, limits) if "expected at most" in text]
    if rose:
        print("\n".join(rose), file=sys.stderr)
        return 1
    FILE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
