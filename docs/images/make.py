"""Make docs/images/run.svg from a real run of the README's commands: ``python docs/images/make.py``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
WIDTH = 98
#: rich's frame without the web font that it would load
FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def main() -> None:
    """Run fit and stream as the README has them, and draw what they print."""
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    data = next(code for language, code in blocks if language == "python")
    commands = next(code for language, code in blocks if language == "sh" and "rekur fit" in code)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        os.chdir(folder)
        exec(compile(data, "README.md", "exec"), {})
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        for command in commands.replace("\\\n  ", "").splitlines():
            if "rekur fit" in command or "rekur stream" in command:
                show(console, command, run(command))
        console.save_svg(str(HERE / "run.svg"), title="rekur", code_format=FRAME, unique_id="rekur")
        os.chdir(HERE)


def run(command: str) -> str:
    """Return what a command prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "88", "OMP_NUM_THREADS": "1"}
    shell = ["bash", "-euo", "pipefail", "-c", command + " 2>&1"]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def show(console: Console, command: str, output: str) -> None:
    """Print a command with its prompt, and its output with the parts that matter in colour."""
    shown = command.replace("--epochs", "\\\n    --epochs").replace(" | ", " \\\n    | ")
    prompt = Text("$ ", style="bold green").append(shown, style="bold white")
    console.print(prompt, soft_wrap=True)
    for line in output.rstrip().splitlines():
        text = Text(line.rstrip())
        text.highlight_regex(r"\bgood\t", "green")
        text.highlight_regex(r"\bbad\t", "red")
        text.highlight_regex(r"█+", "cyan")
        text.highlight_regex(r"^epoch +\d+", "bold")
        text.highlight_regex(r"valid accuracy [\d.]+", "bright_green")
        text.highlight_regex(r"^(Scores on .*|  rekur .*)$", "bold")
        text.expand_tabs(12)
        console.print(text)
    console.print()


if __name__ == "__main__":
    main()
