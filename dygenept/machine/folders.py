"""Where data sets and computed knowledge live on this machine."""

from __future__ import annotations

import os
from pathlib import Path

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
