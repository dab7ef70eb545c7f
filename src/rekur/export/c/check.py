"""Compile an export and compare its outputs with the engine's; needs a C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rekur.errors import InputError, RekurError, SaveError, describe
from rekur.export.c.constants import Array
from rekur.export.difference import differences
from rekur.program import Program

#: flags with which an export compiles without a warning
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion")
#: the score of padding in C, where infinity needs math.h
LEAST = float(np.finfo(np.float32).min)
_SECONDS = 120
#: the message of compilers when the disk is full
_FULL = "No space left on device"


def compiler() -> str | None:
    """Return the C compiler of this machine: the one in ``CC``, or cc, gcc or clang; None if all are missing.

    Raises:
        InputError: ``CC`` names no program.
    """
    named = os.environ.get("CC", "").strip()
    if named and shutil.which(named) is None:
        raise InputError(
            describe("CC", named, "the name of a C compiler, without options", "Set it anew, or unset it.")
        )
    paths = (shutil.which(name) for name in ([named] if named else ["cc", "gcc", "clang"]))
    return next((path for path in paths if path), None)


def harness(name: str, program: Program) -> str:
    """Return a C program that reads sequences of steps and writes the output of each, or of each of their steps.

    A sequence is its number of steps, then the steps, with those of a look-ahead; -1 ends the input.
    """
    source, upper = program.input, name.upper()
    kind, scan = ("float", '"%f"') if source.kind == "rows" else ("int32_t", '"%" SCNd32')
    argument = "x[0]" if source.kind == "tokens" else "x"
    numbers = 1 if source.kind == "tokens" else source.size
    each = f"if (++count > {program.delay}) {{ write(&state); }}" if program.per_step else ""
    return f"""#include <inttypes.h>
#include <stdio.h>
#include "{name}.h"

static void write(const {name}_state *state)
{{
    static float output[{upper}_OUTPUT];
    int k;
    {name}_read(state, output);
    for (k = 0; k < {upper}_OUTPUT; ++k) {{
        printf("%.9g%c", (double)output[k], k + 1 < {upper}_OUTPUT ? ' ' : '\\n');
    }}
}}

int main(void)
{{
    static {name}_state state;
    static {kind} x[{numbers}];
    int steps, count, i;
    while (scanf("%d", &steps) == 1 && steps >= 0) {{
        {name}_init(&state);
        count = 0;
        while (steps-- > 0) {{
            for (i = 0; i < {numbers}; ++i) {{
                if (scanf({scan}, x + i) != 1) {{
                    return 1;
                }}
            }}
            {name}_step(&state, {argument});
            {each}
        }}
        {"(void)count;" if each else "write(&state); (void)count;"}
    }}
    return 0;
}}
"""


def build(folder: Path, files: Sequence[str], binary: str, flags: Sequence[str] = ("-O2",)) -> Path:
    """Compile files of a folder to a program, and return its path.

    Raises:
        RekurError: there is no compiler, or it reports an error or a warning.
    """
    chosen = compiler()
    if chosen is None:
        raise RekurError("C compiler: got none; expected cc, gcc or clang. Install one, or name it in CC.")
    arguments = [chosen, *WARNINGS, *flags, "-I.", *files, "-o", binary]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if _FULL in done.stderr:
        raise _no_room(_FULL)
    if done.returncode != 0 or done.stderr:
        told = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        first = next((line for line in told if "error" in line), told[0])
        raise RekurError(describe(chosen, first, "code that compiles without a warning", "The export is at fault."))
    return folder / binary


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a temporary folder to compile and run in.

    Raises:
        SaveError: the disk is full, or programs may not run there.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rekur-c-") as folder:
            yield Path(folder)
    except OSError as error:
        if isinstance(error, RekurError):
            raise
        raise _no_room(error.strerror or str(error)) from error


def _no_room(got: str) -> SaveError:
    folder = os.environ.get("TMPDIR") or "the folder for temporary files"
    expected = "a folder with room to compile the export, where programs may run"
    return SaveError(describe(folder, got, expected, "Set TMPDIR to such a folder."))


def run(binary: Path, stdin: bytes, *arguments: str) -> str:
    """Return the standard output of a program for an input."""
    command = [str(binary), *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise RekurError(f"{binary.name}: got no end within {_SECONDS} seconds; expected one.") from None
    if done.returncode != 0:
        raise RekurError(f"{binary.name}: got exit code {done.returncode}; expected 0. The export is at fault.")
    return done.stdout.decode()


def outputs(sources: dict[str, str], name: str, program: Program, sequences: Sequence[Array]) -> Any:
    """Return the outputs (B, K) of an export for whole sequences; for outputs at every step one (T, K) a sequence.

    Args:
        sources: file -> text, including the header and the source.
        name: of the export.
        program: the exported program.
        sequences: token numbers (T,), ids (T, C) or rows (T, D).
    """
    ahead = [np.concatenate([x, np.zeros((program.delay, *x.shape[1:]), x.dtype)]) for x in sequences]
    with scratch() as folder:
        for file in (f"{name}.h", f"{name}.c"):
            (folder / file).write_text(sources[file], encoding="utf-8")
        (folder / "harness.c").write_text(harness(name, program), encoding="utf-8")
        binary = build(folder, [f"{name}.c", "harness.c"], "harness")
        written = run(binary, "".join(map(_line, ahead)).encode() + b"-1\n")
    if not program.per_step:
        return numbers_of(written, (len(sequences), program.output_size))
    ends = np.cumsum([len(x) for x in sequences])
    return np.split(numbers_of(written, (ends[-1], program.output_size)), ends[:-1])


def numbers_of(written: str, shape: tuple[int, ...]) -> Array:
    """Return the outputs that a program wrote; padding's score becomes minus infinity, as in the engine."""
    numbers = np.array([float(value) for value in written.split()]).reshape(shape)
    numbers[numbers <= 0.99 * LEAST] = -np.inf
    return numbers


def code_bytes(sources: dict[str, str], name: str) -> tuple[int | None, str]:
    """Return the bytes of an export's machine code, and how they were measured; None without a compiler and ``size``.

    They are measured for a Cortex-M4 if a compiler for it is installed, else for this machine.
    """
    arm = shutil.which("arm-none-eabi-gcc")
    measure = shutil.which("arm-none-eabi-size" if arm else "size")
    chosen = arm or compiler()
    if chosen is None or measure is None:
        return None, ""
    target = ("-mcpu=cortex-m4", "-mthumb") if arm else ()
    with scratch() as folder:
        for file in (f"{name}.h", f"{name}.c"):
            (folder / file).write_text(sources[file], encoding="utf-8")
        compiled = [chosen, "-std=c99", "-Os", *target, "-c", f"{name}.c", "-o", "model.o"]
        if subprocess.run(compiled, cwd=folder, capture_output=True, check=False).returncode != 0:
            return None, ""
        listed = subprocess.run([measure, "-A", "model.o"], cwd=folder, capture_output=True, text=True, check=False)
    sections = [line.split() for line in listed.stdout.splitlines() if line.startswith(".text")]
    where = "Cortex-M4" if arm else "this machine"
    return (sum(int(section[1]) for section in sections) or None), f"-Os, {where}"


def largest_difference(actual: Array, expected: Array) -> float:
    """Return the largest difference of outputs (B, K); see :func:`rekur.export.difference.differences`.

    Example:
        >>> largest_difference(np.array([[-np.inf, 2.5]]), np.array([[-np.inf, 2.0]]))
        0.25
    """
    return float(differences(actual, expected).max(initial=0))


def _line(sequence: Any) -> str:
    return f"{len(sequence)} " + " ".join(f"{value:.9g}" for value in np.ravel(sequence).tolist()) + "\n"
