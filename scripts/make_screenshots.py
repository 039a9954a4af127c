"""Make the pictures of the documentation from a real run, with headless Chromium.

``python scripts/make_screenshots.py CELLS.h5ad`` benches simple models and ``dygenept_small`` on
the cells, writes the page with ``dygenept leaderboard --format html``, and takes
``docs/images/board.png`` and ``board-dark.png``. With ``--results`` it takes the pictures of a
folder of results that is there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MODELS = (
    *("control_mean", "perturbed_mean", "matching_mean", "additive", "linear_loo", "ridge", "knn"),
    *("gp", "dygenept_small", "technical_duplicate", "shuffled"),
)
# File name, width and height in CSS pixels, and whether the page is dark.
PICTURES = (("board", 1200, 900, False), ("board-dark", 1200, 900, True))


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


def take(browser: str, page: Path, picture: Path, *, size: tuple[int, int], is_dark: bool) -> None:
    """Let the browser draw a page into a PNG."""
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}"),
        *(["--blink-settings=preferredColorScheme=0"] if is_dark else []),
        page.as_uri(),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if finished.returncode or not picture.is_file():
        raise SystemExit(f"the browser took no picture: {finished.stderr[-400:]}")


if __name__ == "__main__":
    main()
