"""Errors a user can mend; the command line shows each as one line and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Of more spellings than the one, as many as the other are named.
MOST_KNOWN, SOME_KNOWN = 60, 20


class DygeneptError(Exception):
    """Base of every error that names what was wrong and how to mend it."""


class DataError(DygeneptError):
    """A data set cannot be read or breaks a rule of the harness."""


class DataUnavailableError(DataError):
    """A data set, checkpoint or knowledge file is not on disk and could not be fetched."""


class ConfigError(DygeneptError):
    """A configuration key or value is not allowed."""


class PluginError(DygeneptError):
    """A plugin cannot be found, imported or built, or breaks its contract."""


class ShapeError(DygeneptError):
    """Two arrays disagree on a dimension."""


class SplitError(DygeneptError):
    """A split cannot be made from this data, or a manifest does not fit it."""


class LeakageError(DygeneptError):
    """Something held out could reach a model that must not see it."""


class EnvironmentBuildError(DygeneptError):
    """The environment of an isolated model cannot be built or found."""


class ChildError(DygeneptError):
    """The child process of an isolated model failed, or left what it must not."""


class ResultsError(DygeneptError):
    """A results folder or a record in it cannot be read or written."""


class DistributedError(DygeneptError):
    """A process of a training in several processes ended, or they disagree."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a phrase that names the closest known spelling and all that is allowed.

    Args:
        name: What the user wrote.
        known: The allowed spellings.

    Returns:
        Text such as ``did you mean 'sparsemax'? known: mean, softmax, sparsemax``; of very many
        spellings some and their number.
    """
    options = sorted(set(known))
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if not close:
        close = [option for option in options if name and option.startswith(name)]
    hint = f"did you mean '{close[0]}'? " if close else ""
    named = ", ".join(options if len(options) <= MOST_KNOWN else options[:SOME_KNOWN])
    more = f" and {len(options) - SOME_KNOWN:,} more" if len(options) > MOST_KNOWN else ""
    return f"{hint}known: {named}{more}" if options else f"{hint}known: none"
