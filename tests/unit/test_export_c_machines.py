"""Exports to C under strict compilers, sanitizers, valgrind, and on an emulated Cortex-M.

Each test says what it lacks where it is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Classifier, Forecaster, Regressor
from rekur.export.c import check, export_c
from rekur.export.c.parts import assemble
from rekur.program import Engine, draw_sequences
from rekur.runtime import read_bundle

pytestmark = pytest.mark.slow

TEXTS = ["A fine film, 1990.", "a bad film: it's so-so", "fine!", "so bad, not in 12.5 years…", "Ärger 日本 👍🏽"]
FLAGS = (*check.WARNINGS, "-Werror", "-Wshadow", "-Wcast-qual")
#: how a program begins on the emulated board, and its memory
BOARD = Path(__file__).parents[2] / "benchmarks" / "board"
ARM = ("-mcpu=cortex-m3", "-mthumb", "--specs=rdimon.specs")


def need(*tools: str) -> None:
    """Skip the test where a tool is not installed."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def done(arguments: Sequence[str], folder: Path, given: str = "") -> str:
    """Return what a command writes; it must end well and say nothing on standard error."""
    run = subprocess.run(arguments, cwd=folder, input=given.encode(), capture_output=True, check=False, timeout=250)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a model of texts, one of rows of numbers, and one that forecasts with columns and the calendar."""
    root = tmp_path_factory.mktemp("bundles")
    small: dict[str, Any] = {"epochs": 1, "baseline": False}
    words = Classifier(hidden_size=9, kernel_size=2, embedding_size=7, pooling="last+mean+max+attention", **small)
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(3, 9, size=20)]
    numbers = Regressor(cell="slstm", hidden_size=8, **small).fit(walks, [float(walk[-1, 0]) for walk in walks])
    days = [f"{np.datetime64('2024-01-01') + k}" for k in range(90)]
    table = {"day": days, "y": rng.exponential(size=90), "ahead": rng.normal(size=90), "past": rng.normal(size=90)}
    table["past"][3] = np.nan
    columns = {"time": "day", "series": ["y"], "future": ["ahead"], "past": ["past"]}
    ahead = Forecaster(horizon=3, hidden_size=5, **small).fit(table, columns=columns)
    return {
        "ahead": Path(ahead.save(root / "ahead")),
        "text": Path(words.fit(TEXTS * 4, [0, 1, 0, 1, 2] * 4).save(root / "text")),
        "walk": Path(numbers.save(root / "walk")),
    }


STYLES: list[dict[str, Any]] = [{}, {"precision": "int8"}, {"activations": "table"}]


@pytest.mark.parametrize("options", STYLES, ids=["float32", "int8", "table"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("kind", ["text", "walk", "ahead"])
def test_no_compiler_warns_and_no_sanitizer_complains(
    bundles: dict[str, Path], kind: str, compiler: str, options: dict[str, Any], tmp_path: Path
) -> None:
    need(compiler)
    export_c(bundles[kind], tmp_path / "c", tolerance=0.5 if options else None, **options)
    for level in ("-Os", "-O3"):
        done([compiler, *FLAGS, level, "main.c", f"{kind}.c", "-o", "plain", "-lm"], tmp_path / "c")
    checked = ("-fsanitize=undefined", "-fno-sanitize-recover=all", "-g", "-O1")
    done([compiler, *FLAGS, *checked, "main.c", f"{kind}.c", "-o", "checked", "-lm"], tmp_path / "c")
    rows = [f"2024-05-{k:02d} {'nan' if k % 5 == 3 else k} 1 nan 2 3 4" for k in range(1, 29)]
    texts = {"text": TEXTS, "walk": ["1 2", "nan 3", "", "1e5 -7"], "ahead": [*rows, "", *rows]}
    given = "\n".join(texts[kind]) + "\n"
    assert done(["./checked"], tmp_path / "c", given) != ""
    assert done(["./checked", "stream"], tmp_path / "c", given) != ""


@pytest.mark.parametrize("kind", ["text", "walk"])
def test_valgrind_is_content(bundles: dict[str, Path], kind: str, tmp_path: Path) -> None:
    need("gcc", "valgrind")
    export_c(bundles[kind], tmp_path / "c", precision="int8", tolerance=0.5)
    done(["gcc", *FLAGS, "-g", "-O1", "main.c", f"{kind}.c", "-o", "plain", "-lm"], tmp_path / "c")
    given = "\n".join(TEXTS) + "\n" if kind == "text" else "1 2\nnan 3\n\n1e5 -7\n"
    strict = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--track-origins=yes"]
    assert done([*strict, "./plain"], tmp_path / "c", given) != ""


@pytest.mark.parametrize("options", [{}, {"precision": "int8"}], ids=["float32", "int8"])
@pytest.mark.parametrize("kind", ["text", "walk"])
def test_a_cortex_m_computes_what_the_engine_does(
    bundles: dict[str, Path], kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    export_c(bundles[kind], tmp_path / "c", tolerance=0.5 if options else None, **options)
    bundle = read_bundle(bundles[kind])
    program, weights = bundle.program()
    (steps,) = draw_sequences(program, [20])
    (tmp_path / "c" / "device.c").write_text(device(kind, program.input.kind, steps), encoding="utf-8")
    shutil.copytree(BOARD, tmp_path / "c", dirs_exist_ok=True)
    built = ["arm-none-eabi-gcc", *FLAGS[:-3], *ARM, "-O2", "-nostartfiles", "-Tboard.ld"]
    done([*built, "start.c", "device.c", f"{kind}.c", "-o", "device.elf", "-lm"], tmp_path / "c")
    board = ["qemu-system-arm", "-M", "mps2-an385", "-nographic", "-semihosting", "-kernel", "device.elf"]
    found = np.array([float(value) for value in done(board, tmp_path / "c").split()])
    native = done_natively(tmp_path / "c", kind)
    np.testing.assert_allclose(found, native, atol=2e-6, rtol=2e-6)
    if not options:
        np.testing.assert_allclose(found, Engine(program, weights).run([steps])[0], atol=1e-5, rtol=1e-5)


def done_natively(folder: Path, kind: str) -> list[float]:
    """Return what the same program writes on this machine."""
    done([str(check.compiler()), "-O2", "device.c", f"{kind}.c", "-o", "native", "-lm"], folder)
    return [float(value) for value in done(["./native"], folder).split()]


def device(name: str, kind: str, steps: Any) -> str:
    """Return a program without input: it takes fixed steps and writes the output."""
    if kind == "tokens":
        rows = f"static const int steps[] = {{{', '.join(map(str, steps.tolist()))}}};"
        step = f"{name}_step(&state, steps[i]);"
    else:
        inner = ", ".join("{" + ", ".join(f"{v:.9g}" for v in row) + "}" for row in steps.tolist())
        rows = f"static const float steps[][{steps.shape[1]}] = {{{inner}}};"
        step = f"{name}_step(&state, steps[i]);"
    return f"""#include <stdio.h>
#include <stdlib.h>
#include "{name}.h"
{rows}
int main(void)
{{
    static {name}_state state;
    static float output[{name.upper()}_OUTPUT];
    int i;
    {name}_init(&state);
    for (i = 0; i < {len(steps)}; ++i) {{
        {step}
    }}
    {name}_read(&state, output);
    for (i = 0; i < {name.upper()}_OUTPUT; ++i) {{
        printf("%.9g\\n", (double)output[i]);
    }}
    exit(0);
}}
"""


def test_functions_without_a_library_are_within_a_millionth(tmp_path: Path) -> None:
    need("gcc")
    names = ("exponential", "tangent", "logarithm", "root", "exponential_less_one", "sigmoid", "hyperbolic")
    code, _ = assemble(names, ["exact"])
    calls = " ".join(f'printf("%.9g ", (double){name}(x));' for name in names)
    main = f'int main(void) {{ float x; while (scanf("%f", &x) == 1) {{ {calls} puts(""); }} return 0; }}\n'
    (tmp_path / "own.c").write_text(f"#include <stdint.h>\n#include <stdio.h>\n{code}\n{main}", encoding="utf-8")
    done(["gcc", *FLAGS, "own.c", "-o", "own"], tmp_path)  # links without -lm
    x = np.concatenate([np.linspace(-20, 20, 4001), np.geomspace(1e-6, 80, 500), -np.geomspace(1e-6, 80, 500)])
    x = x.astype(np.float32)
    written = done(["./own"], tmp_path, " ".join(f"{value:.9g}" for value in x.tolist()))
    found = np.array([[float(v) for v in line.split()] for line in written.splitlines()]).T
    wide, above = x.astype(np.float64), x > 0
    np.testing.assert_allclose(found[0], np.exp(wide), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(found[1], np.tanh(wide), atol=1e-6)
    np.testing.assert_allclose(found[2][above], np.log(wide[above]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[3][above], np.sqrt(wide[above]), rtol=1e-6)
    np.testing.assert_allclose(found[4], np.expm1(wide), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[5], 1 / (1 + np.exp(-wide)), atol=1e-6)
    np.testing.assert_allclose(found[6], np.tanh(wide), atol=1e-6)
    # what is out of all bounds ends where the function does; what is no number stays none
    ends = [[float(v) for v in line.split()] for line in done(["./own"], tmp_path, "inf -inf nan").splitlines()]
    assert [[row[1], row[5], row[6]] for row in ends[:2]] == [[1, 1, 1], [-1, pytest.approx(0, abs=1e-30), -1]]
    assert np.isnan([ends[2][place] for place in (0, 1, 4, 5, 6)]).all()
