"""Words of the original model's configuration files, read as today's words."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping

from dygenept.errors import ConfigError
from dygenept.plugin.registry import merge

logger = logging.getLogger(__name__)

# Section of the original model to today's.
SECTIONS: Mapping[str, str] = {"cross_attention": "attention"}
# Where the original's files name the data set, which no model has today: it is --dataset.
DATASET = ("training", "dataset")


def todays_document(document: Mapping[str, object]) -> tuple[dict[str, object], str | None]:
    """Return a configuration in today's words, and the data set that it names, if any.

    Each word of the original's is named in the log once, with today's.

    Raises:
        ConfigError: If it has an original section and today's, and they disagree on a key.
    """
    section, key = DATASET
    found = dict(document)
    for old, new in SECTIONS.items():
        if old in found:
            found = _renamed(found, old, new)
            _say_once(f"{old} is read as {new}, as that section is called today")
    options = found.get(section)
    if not isinstance(options, Mapping) or key not in options:
        return found, None
    rest = {name: value for name, value in options.items() if name != key}
    dataset = str(options[key])
    _say_once(f"{section}.{key} is the data set, which is --dataset {dataset} today")
    others = {name: value for name, value in found.items() if name != section}
    return others | ({section: rest} if rest else {}), dataset


def todays_set(item: str) -> str:
    """Return a ``key=value`` item in today's words."""
    section, dot, rest = item.partition(".")
    if dot and section in SECTIONS:
        _say_once(f"{section} is read as {SECTIONS[section]}, as that section is called today")
        return f"{SECTIONS[section]}.{rest}"
    return item


def _renamed(document: Mapping[str, object], old: str, new: str) -> dict[str, object]:
    given = document[old]
    rest = {name: value for name, value in document.items() if name != old}
    if new not in rest:
        return {**rest, new: given}
    own = rest[new]
    if not isinstance(own, Mapping) or not isinstance(given, Mapping):
        raise ConfigError(f"{old} and {new} are the same section; keep only {new}")
    for name in set(own) & set(given):
        if own[name] != given[name]:
            raise ConfigError(
                f"{old}.{name} and {new}.{name} are the same option and have two values; "
                f"keep only {new}.{name}"
            )
    return {**rest, new: merge(dict(own), dict(given))}


@functools.cache
def _say_once(sentence: str) -> None:
    logger.warning("%s", sentence)
