"""Where data sets and computed knowledge live on this machine."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

DATA_VARIABLE = "DYGENEPT_DATA"
HOME_VARIABLE = "DYGENEPT_HOME"
_APPLICATION = "dygenept"


def default_data_dir() -> Path:
    """Return the folder of data sets: ``$DYGENEPT_DATA``, else the user's data folder."""
    from platformdirs import user_data_path

    given = os.environ.get(DATA_VARIABLE)
    return Path(given).expanduser() if given else user_data_path(_APPLICATION)


def default_cache_dir() -> Path:
    """Return the folder of computed knowledge: ``$DYGENEPT_HOME``, else the user's cache."""
    from platformdirs import user_cache_path

    home = os.environ.get(HOME_VARIABLE)
    return Path(home).expanduser() if home else user_cache_path(_APPLICATION)


def place_in(data_dir: Path, today: str, original: Sequence[str]) -> Path:
    """Return where something lies in a data folder: today's place, or the original model's.

    Args:
        data_dir: The data folder.
        today: Where it lies in this project's layout.
        original: Where it lies in the original model's layout, from the root of its project or
            from the folder ``data`` in it.

    Returns:
        The first that exists, today's before the others; today's where none does. A place of the
        original's is named in the log, with today's.
    """
    own = data_dir / today
    if own.exists():
        return own
    for name in original:
        base, beside = data_dir, name.removeprefix("../")
        if beside != name:
            base = data_dir.absolute().parent
            if data_dir.absolute().name != "data":
                continue
        place = base / beside
        if place.exists():
            _say_once(place, own)
            return place
    return own


@functools.cache
def _say_once(place: Path, own: Path) -> None:
    logger.warning("%s is read, as the original model lays it out; today's place is %s", place, own)
