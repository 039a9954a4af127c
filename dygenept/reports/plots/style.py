"""How plots look and are written."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from dygenept.errors import ConfigError, DataUnavailableError
from dygenept.leaderboard.boards import SIMULATED
from dygenept.machine.plain_text import printable
from dygenept.machine.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Asked = ParamSpec("Asked")
SUFFIXES = (".svg", ".png", ".pdf")
# Width of one column of a journal's page, and of two, in inches.
COLUMN, PAGE = 3.5, 7.2
# Okabe and Ito 2008: told apart by colour-blind readers, and in grey.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, DARK = "#8A8F98", "#222222"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", DARK)
MARKERS = "osD^vPX"
# matplotlib types its settings by name, and other names in each version.
_SETTINGS: dict[Any, Any] = {
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "DejaVu Sans",
    "svg.hashsalt": "dygenept",
    # Names are never read as formulas.
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
}


def styled(draw: Callable[Asked, Figure]) -> Callable[Asked, Figure]:
    """Let a function that makes a figure do so in this style, whatever the caller's is.

    Raises:
        DataUnavailableError: If matplotlib is not installed.
    """

    @wraps(draw)
    def drawing(*given: Asked.args, **named: Asked.kwargs) -> Figure:
        try:
            import matplotlib as mpl
        except ImportError as error:
            raise DataUnavailableError(
                "plots need matplotlib; install it with `pip install 'dygenept[plot]'`"
            ) from error
        with mpl.rc_context(_SETTINGS):
            return draw(*given, **named)

    return drawing


def figure(height: float, *, width: float = COLUMN) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes.

    Args:
        height: In inches.
        width: In inches.
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.add_subplot()


def labelled(made: Figure, title: str, *, is_simulated: bool = False) -> Figure:
    """Give a figure its title; what was simulated says so, in the title and across the plot."""
    text = printable(title)
    made.suptitle(f"{SIMULATED}\n{text}" if is_simulated else text, fontsize=7.5)
    if is_simulated:
        mark = made.text(0.55, 0.5, "SIMULATED", ha="center", va="center", fontsize=26)
        mark.set(color="#000000", alpha=0.08, rotation=25)
    return made


def check_plot_file(path: Path) -> None:
    """Refuse a file whose name tells no format of plots.

    Raises:
        ConfigError: As said.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path}: plots are {', '.join(SUFFIXES)}; name a file that ends in one of these"
        )


def drawn(made: Figure, suffix: str) -> bytes:
    """Draw a figure; the same figure gives the same bytes.

    Args:
        made: The figure.
        suffix: ``.svg``, ``.png`` or ``.pdf``.
    """
    import matplotlib as mpl

    buffer = io.BytesIO()
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    with mpl.rc_context({**_SETTINGS, "svg.fonttype": "none"}), warnings.catch_warnings():
        # A character that no font has is drawn as a box; its name is in the SVG's text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        made.savefig(buffer, format=suffix[1:], dpi=300, metadata=metadata)
    return buffer.getvalue()


def write_plot(made: Figure, path: Path) -> None:
    """Write a figure whole, in the format that the file's name tells.

    Raises:
        ConfigError: If it tells none.
    """
    check_plot_file(path)
    write_whole(path, drawn(made, path.suffix.lower()))


def brief(name: str, most: int = 28) -> str:
    """Shorten a name in its middle, so that both ends are read."""
    text = printable(name)
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[: most - 1 - half]}…{text[-half:]}"
