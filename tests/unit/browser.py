"""How a page looks in Chromium, where there is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: no window is narrower than 500 pixels, but a frame is
FRAME = """<!doctype html><title>not measured</title>
<script>addEventListener("message", (message) => { document.title = message.data });</script>
<iframe src="measured.html" width="WIDTH" height="900" style="border: 0"></iframe>"""
#: of the page: its width when it is laid out, its background and the colour of its letters
MEASURE = """<script>
const style = getComputedStyle(document.body);
const width = document.documentElement.scrollWidth;
parent.postMessage([innerWidth, width, style.backgroundColor, style.color].join("|"), "*");
</script>"""


def chromium() -> str:
    """Return the program, or skip the test."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = os.environ.get("REKUR_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no Chromium; name one with REKUR_CHROMIUM")
    return browser


def check_in_browser(page: str, folder: Path, width: int, scheme: str) -> None:
    """Check that a page is as wide as the window and has the colours of the scheme, and that a browser can draw it.

    Args:
        page: as HTML.
        folder: for the files of the browser.
        width: of the window, in pixels.
        scheme: ``light`` or ``dark``.
    """
    browser = chromium()
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    (folder / "measured.html").write_text(page.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    options += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"]
    command = [browser, *options, (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    title = re.search(r"<title>([^<]*)</title>", done.stdout)
    assert title, done.stderr
    window, laid_out, background, ink = title[1].split("|")
    assert int(laid_out) <= int(window) == width
    light, dark = "rgb(255, 255, 255)", "rgb(18, 24, 30)"
    assert background == (dark if scheme == "dark" else light)
    assert ink == ("rgb(228, 234, 240)" if scheme == "dark" else "rgb(34, 49, 63)")
