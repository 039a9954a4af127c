"""Make the pictures of the documentation from a real run, with headless Chromium.

``python scripts/make_screenshots.py CELLS.h5ad`` benches simple models and ``dygenept_small`` on
the cells, writes the page with ``dygenept leaderboard --format html``, and takes
``docs/images/board.png`` and ``board-dark.png``. Then it runs ``dygenept leaderboard`` in a
terminal of 80 columns and takes ``terminal.png`` of what that printed, styles included. With
``--results`` it takes the pictures of a folder of results that is there.
"""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MODELS = (
    *("control_mean", "perturbed_mean", "matching_mean", "additive", "linear_loo", "ridge", "knn"),
    *("gp", "dygenept_small", "technical_duplicate", "shuffled"),
)
N_COLOURS = 128
# Pages that are narrower are taken at twice their size, so that they stay sharp.
NARROW = 1000
# File name, width and height in CSS pixels, and whether the page is dark.
PICTURES = (("board", 1200, 900, False), ("board-dark", 1200, 900, True))
# Columns of the terminal, and in CSS pixels the size of a sign and the frame around them.
COLUMNS = 80
SIGN_WIDTH, SIGN_HEIGHT, FRAME = 9.04, 17, 16
PAGE = f"""<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: {FRAME}px; background: #14171b; color: #e9ebee; }}
pre {{ margin: 0; font: 15px/{SIGN_HEIGHT}px "DejaVu Sans Mono", monospace; }}
</style>"""


def main() -> None:
    """Take the pictures.

    Raises:
        SystemExit: If there is no browser, or a command fails.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="?", help="an .h5ad file to bench")
    parser.add_argument("--results", type=Path, help="a folder of results that is there")
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder of the pictures")
    given = parser.parse_args()
    if (given.cells is None) == (given.results is None):
        parser.error("name either a file of cells or --results DIR")
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"no browser: install one of {', '.join(BROWSERS)}")
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        results = given.results or bench(given.cells, Path(folder) / "results")
        page = Path(folder) / "board.html"
        dygenept("leaderboard", "--results", results, "--format", "html", "--output", page)
        for name, width, height, is_dark in PICTURES:
            picture = given.output / f"{name}.png"
            take(browser, page, picture, size=(width, height), is_dark=is_dark)
            sys.stdout.write(f"{picture}\n")
        screen, size = terminal_page(results, Path(folder) / "terminal.html")
        take(browser, screen, given.output / "terminal.png", size=size, is_dark=True)
        sys.stdout.write(f"{given.output / 'terminal.png'}\n")


def bench(cells: str, results: Path) -> Path:
    """Run the models on the cells and return the folder of results."""
    chosen = [argument for model in MODELS for argument in ("--model", model)]
    dygenept("bench", "--dataset", cells, "--results", results, *chosen, "--quiet")
    return results


def dygenept(*arguments: str | Path) -> None:
    """Run a command of this checkout; its table is not shown."""
    command = [sys.executable, "-m", "dygenept_cli", *map(str, arguments)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise SystemExit(f"{' '.join(command)} failed")


def terminal_page(results: Path, page: Path) -> tuple[Path, tuple[int, int]]:
    """Write what ``dygenept leaderboard`` shows in a terminal as a page.

    Returns:
        The page, and the size that it needs in CSS pixels.
    """
    from rich.console import Console
    from rich.text import Text

    command = [sys.executable, "-m", "dygenept_cli", "leaderboard", "--results", str(results)]
    shown = f"$ dygenept leaderboard\n{in_terminal(command).rstrip()}"
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(shown), soft_wrap=True)
    code = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
    page.write_text(PAGE + code, "utf-8")
    height = len(shown.splitlines()) * SIGN_HEIGHT
    return page, (math.ceil(COLUMNS * SIGN_WIDTH) + 2 * FRAME, height + 2 * FRAME)


def in_terminal(command: list[str]) -> str:
    """Run a command in a terminal of its own and return what it printed, escape codes included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 200, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for told in ("COLUMNS", "NO_COLOR"):
        environment.pop(told, None)
    running = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    printed = bytearray()
    while True:
        try:
            found = os.read(ours, 1 << 16)
        except OSError:
            # Linux's way to say that the other end was closed.
            break
        if not found:
            break
        printed += found
    os.close(ours)
    if running.wait():
        raise SystemExit(f"{' '.join(command)} failed:\n{printed.decode()[-400:]}")
    return printed.decode().replace("\r\n", "\n")


def take(browser: str, page: Path, picture: Path, *, size: tuple[int, int], is_dark: bool) -> None:
    """Let the browser draw a page into a PNG."""
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}"),
        *([] if size[0] > NARROW else ["--force-device-scale-factor=2"]),
        *(["--blink-settings=preferredColorScheme=0"] if is_dark else []),
        page.as_uri(),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if finished.returncode or not picture.is_file():
        raise SystemExit(f"the browser took no picture: {finished.stderr[-400:]}")
    shrink(picture)


def shrink(picture: Path) -> None:
    """Write a PNG with the colours that it needs: a third of the size, and as legible."""
    from PIL import Image

    with Image.open(picture) as opened:
        small = opened.convert("RGB").quantize(N_COLOURS, dither=Image.Dither.NONE)
    small.save(picture, optimize=True)


if __name__ == "__main__":
    main()
