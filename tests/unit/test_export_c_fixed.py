"""Exports to C without floating point as files: what they say, what a step calls, what is refused.

Tests that need a compiler or a tool say so where they are skipped.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_export_c_machines import ARM, BOARD, FLAGS, device, done, done_natively, need

from rekur import Classifier, LanguageModel, Regressor
from rekur.cli.main import app
from rekur.errors import InputError, RekurError
from rekur.export.c import check, export_c
from rekur.program import Engine, dequantise, draw_sequences, quantise
from rekur.runtime import read_bundle

TEXTS = ["A fine film, 1990.", "a bad film: it's so-so", "fine!", "so bad, not in 12.5 years…", "Ärger 日本 👍🏽"]
SMALL: dict[str, Any] = {"epochs": 1, "baseline": False}
OPTIONS: dict[str, Any] = {"precision": "int8", "activations": "fixed"}
KINDS = ["text", "walk", "lines"]
#: functions of floating point that a compiler calls on a device that has none
FLOATS = re.compile(r"__aeabi_(?:[fd]|[a-z]+2[fd]|[fd]2)\w*|\b\w*[sd]f[23]\b|expf|tanhf|logf")

needs_compiler = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a model of words, one of rows of numbers and a language model."""
    root = tmp_path_factory.mktemp("bundles")
    words = Classifier(hidden_size=9, kernel_size=2, embedding_size=7, pooling="last+mean+max+attention", **SMALL)
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(3, 9, size=20)]
    numbers = Regressor(cell="gru", hidden_size=8, num_layers=2, residual=True, norm=True, **SMALL)
    letters = LanguageModel(tokens="char", cell="mingru", steps=3, hidden_size=6, embedding_size=6, baseline=False)
    return {
        "text": Path(words.fit(TEXTS * 4, [0, 1, 0, 1, 2] * 4).save(root / "text")),
        "walk": Path(numbers.fit(walks, [float(walk[-1, 0]) for walk in walks]).save(root / "walk")),
        "lines": Path(letters.fit(["the cat saw the dog.\nthe dog's fed the bird.\n" * 20]).save(root / "lines")),
    }


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_raw_input_gives_what_the_model_gives(bundles: dict[str, Path], kind: str, tmp_path: Path) -> None:
    report = export_c(bundles[kind], tmp_path / "c", **OPTIONS).report
    assert report["difference"] < 2e-3
    assert report["difference_of_rounding"] < 0.25
    assert report["changed_answers"] == (None if kind == "walk" else 0)
    readme = (tmp_path / "c" / "README.md").read_text()
    assert "## Fixed point" in readme
    assert f"Of the buffer {report['output_bytes']:,} bytes are for it alone" in readme
    subprocess.run(["make", "-s"], cwd=tmp_path / "c", check=True)
    given = "1 2\nnan 3\n" if kind == "walk" else "\n".join(TEXTS) + "\n"
    assert done([f"./{kind}"], tmp_path / "c", given).count("\n") == given.count("\n")


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_what_is_stated(bundles: dict[str, Path], kind: str, tmp_path: Path) -> None:
    need("size", "nm")
    report = export_c(bundles[kind], tmp_path / "c", **OPTIONS).report
    compiled = [str(check.compiler()), "-std=c99", "-Os", "-c", f"{kind}.c", "-o", "model.o"]
    subprocess.run(compiled, cwd=tmp_path / "c", check=True)
    listed = done(["size", "-A", "model.o"], tmp_path / "c")
    sizes = {line.split()[0]: int(line.split()[1]) for line in listed.splitlines() if line.startswith(".")}
    raw = report["output_bytes"] if kind == "lines" else 0  # text is scored by what was said before it
    buffers = [line.split() for line in done(["nm", "-S", "model.o"], tmp_path / "c").splitlines() if " b " in line]
    assert sum(int(size, 16) for _, size, *_ in buffers) == report["buffer_bytes"] + raw
    assert sizes.get(".data", 0) == 0
    constants = sum(size for name, size in sizes.items() if name.startswith(".rodata"))
    assert report["constant_bytes"] <= constants <= report["constant_bytes"] + 512


@needs_compiler
def test_scores_and_the_best_are_whole_numbers(bundles: dict[str, Path], tmp_path: Path) -> None:
    export_c(bundles["text"], tmp_path, overwrite=True, **OPTIONS)
    (tmp_path / "own.c").write_text(
        """#include <stdio.h>
#include "text.h"
int main(void)
{
    static text_state state;
    static int32_t scores[TEXT_OUTPUT];
    static float output[TEXT_OUTPUT];
    int k;
    text_init(&state);
    text_step(&state, 3);
    text_step(&state, 5);
    text_scores(&state, scores);
    text_read(&state, output);
    for (k = 0; k < TEXT_OUTPUT; ++k) {
        printf("%d %.9g ", (int)scores[k], (double)output[k] * TEXT_ONE);
    }
    printf("%d", text_best(scores));
    return 0;
}
""",
        encoding="utf-8",
    )
    binary = check.build(tmp_path, ["text.c", "own.c"], "own")
    *found, best = (float(one) for one in check.run(binary, b"").split())
    whole, floating = np.array(found).reshape(-1, 2).T
    np.testing.assert_array_equal(whole, floating)
    assert best == whole.argmax()
    program, weights = dequantise(*quantise(*read_bundle(bundles["text"]).program(), "int8"))
    np.testing.assert_allclose(whole / 65536, Engine(program, weights).run([np.array([3, 5])])[0], atol=2e-3)


def test_matrices_of_32_bits_are_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        export_c(bundles["text"], tmp_path / "c", precision="float32", activations="fixed")
    assert str(error.value) == (
        "precision: got 'float32'; expected 'int8' with activations 'fixed'. Say precision='int8' (--precision int8)."
    )
    assert not (tmp_path / "c").exists()


def test_the_command_says_what_fixed_point_changes(bundles: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["export", str(bundles["text"]), "--to", "c", "--precision", "int8", "--activations", "fixed", "--out"]
    shown = CliRunner().invoke(app, [*arguments, str(tmp_path / "a")])
    assert shown.exit_code == 0
    report = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert report["activations"] == "fixed"
    assert (report["difference"] is None) == (check.compiler() is None)
    if report["difference"] is not None:
        assert f"Fixed point changes 0 of {report['sequences']} answers" in shown.output


@needs_compiler
def test_code_that_differs_is_not_kept(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = check.outputs

    def wrong(*arguments: Any) -> Any:
        return right(*arguments) + 0.02

    monkeypatch.setattr(check, "outputs", wrong)
    with pytest.raises(RekurError, match=r"^difference of the compiled code: got 0\.02.*; expected at most 0\.01 "):
        export_c(bundles["text"], tmp_path / "c", **OPTIONS)
    assert not (tmp_path / "c").exists()


# ── other compilers and machines ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_compiler_warns_and_no_sanitizer_complains(
    bundles: dict[str, Path], kind: str, compiler: str, tmp_path: Path
) -> None:
    need(compiler)
    export_c(bundles[kind], tmp_path / "c", **OPTIONS)
    for level in ("-Os", "-O3"):
        done([compiler, *FLAGS, level, "main.c", f"{kind}.c", "-o", "plain", "-lm"], tmp_path / "c")
    checked = ("-fsanitize=undefined", "-fno-sanitize-recover=all", "-g", "-O1")
    done([compiler, *FLAGS, *checked, "main.c", f"{kind}.c", "-o", "checked", "-lm"], tmp_path / "c")
    given = "1 2\nnan 3\n\n1e5 -7\n1e30 -1e30\n" if kind == "walk" else "\n".join(TEXTS * 3) + "\n"
    assert done(["./checked"], tmp_path / "c", given) != ""
    assert done(["./checked", "stream"], tmp_path / "c", given) != ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_valgrind_is_content(bundles: dict[str, Path], kind: str, tmp_path: Path) -> None:
    need("gcc", "valgrind")
    export_c(bundles[kind], tmp_path / "c", **OPTIONS)
    done(["gcc", *FLAGS, "-g", "-O1", "main.c", f"{kind}.c", "-o", "plain", "-lm"], tmp_path / "c")
    given = "1 2\nnan 3\n\n1e5 -7\n" if kind == "walk" else "\n".join(TEXTS) + "\n"
    strict = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--track-origins=yes"]
    assert done([*strict, "./plain"], tmp_path / "c", given) != ""


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cortex_m_computes_the_same_to_the_last_bit(
    bundles: dict[str, Path], kind: str, core: str, tmp_path: Path
) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    export_c(bundles[kind], tmp_path, overwrite=True, **OPTIONS)
    (steps,) = draw_sequences(read_bundle(bundles[kind]).program()[0], [20])
    program = "tokens" if kind != "walk" else "rows"
    (tmp_path / "device.c").write_text(device(kind, program, steps), encoding="utf-8")
    shutil.copytree(BOARD, tmp_path, dirs_exist_ok=True)
    built = ["arm-none-eabi-gcc", *FLAGS[:-3], f"-mcpu={core}", *ARM[1:], "-O2", "-nostartfiles", "-Tboard.ld"]
    done([*built, "start.c", "device.c", f"{kind}.c", "-o", "device.elf"], tmp_path)
    board = ["qemu-system-arm", "-M", "mps2-an385", "-nographic", "-semihosting", "-kernel", "device.elf"]
    found = [float(value) for value in done(board, tmp_path).split()]
    assert found == done_natively(tmp_path, kind)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_and_its_scores_call_nothing_of_floating_point(
    bundles: dict[str, Path], kind: str, core: str, tmp_path: Path
) -> None:
    need("arm-none-eabi-gcc", "arm-none-eabi-nm")
    step = f"{kind}_step_fixed(&state, row)" if kind == "walk" else f"{kind}_step(&state, 3)"
    text = f"""#include "{kind}.h"
static {kind}_state state;
static int32_t scores[{kind.upper()}_OUTPUT];
volatile int best;
int main(void)
{{
    static const int32_t row[2] = {{65536, -7}};
    (void)row;
    {kind}_init(&state);
    {step};
    {kind}_scores(&state, scores);
    best = {kind}_best(scores);
    return 0;
}}
"""
    (tmp_path / "own.c").write_text(text, encoding="utf-8")
    export_c(bundles[kind], tmp_path / "c", **OPTIONS)
    built = [
        "arm-none-eabi-gcc",
        "-std=c99",
        f"-mcpu={core}",
        "-mthumb",
        "-Os",
        "-ffunction-sections",
        "-fdata-sections",
    ]
    linked = ["-Wl,--gc-sections", "-nostartfiles", "-Wl,-emain", "-Ic", "own.c", f"c/{kind}.c", "-lm", "-o"]
    done([*built, *linked, "fixed.elf"], tmp_path)
    symbols = done(["arm-none-eabi-nm", "fixed.elf"], tmp_path)
    assert f"{kind}_scores" in symbols
    assert FLOATS.findall(symbols) == []
    whole = text.replace("_scores(&state, scores)", "_read(&state, output)").replace(
        "best = ", "best = (int)output[0] + "
    )
    whole = whole.replace("volatile int", f"static float output[{kind.upper()}_OUTPUT];\nvolatile int")
    (tmp_path / "own.c").write_text(whole, encoding="utf-8")
    done([*built, *linked, "float.elf"], tmp_path)
    assert FLOATS.findall(done(["arm-none-eabi-nm", "float.elf"], tmp_path)) != [], "the test sees floating point"
