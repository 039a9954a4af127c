"""YAML files of anybody's: read without running, expanding or looking up what they ask for.

A file may refer to its own values (``${defaults.seed}``). It may not read environment variables,
nor call any other resolver: a registry that somebody sends must not be able to put a key into an
address. Names that the user lists in ``$DYGENEPT_ALLOW_ENV`` are the exception. ``validated`` turns
what was read, or given as flags, into a typed record.
"""

from __future__ import annotations

import copy
import functools
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from dygenept.errors import ConfigError, nearest
from dygenept.machine.http_clients import masked

ALLOWED_VARIABLE = "DYGENEPT_ALLOW_ENV"
MAX_BYTES = 16 << 20
MAX_DEPTH = 50
# Values that a file may have once its aliases (``*name``) are written out.
MAX_VALUES = 200_000
_REFERENCE = re.compile(r"\$\{(\w[\w.\[\]-]*)\}")
_VARIABLE = re.compile(r"\$\{oc\.env:(\w+)(?:,[^${}]*)?\}")
T = TypeVar("T")
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def read_yaml(path: Path) -> dict[str, object]:
    """Read one YAML mapping.

    Raises:
        ConfigError: If the file is missing, is not YAML, contains anything but a mapping, is nested
            or repeated beyond reason, or asks for a variable that the user has not allowed.
    """
    if not path.is_file():
        raise ConfigError(f"no file {path}; give the path of a YAML file")
    text = _text(path)
    try:
        document = _document(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    # The parsers raise what their libraries do: for numbers of 5,000 digits, say, a ValueError.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path} is not valid YAML: {reason}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must contain a mapping of keys, not {type(document).__name__}")
    return {str(key): value for key, value in document.items()}


def read_shipped_yaml(path: Path) -> dict[str, object]:
    """Read a YAML mapping that is part of the package: without references, and many times as fast.

    Raises:
        ConfigError: If the file is damaged.
    """
    import yaml

    try:
        document = copy.deepcopy(_shipped_once(path.read_bytes()))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is damaged; reinstall dygenept: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is damaged; reinstall dygenept")
    return {str(key): value for key, value in document.items()}


@functools.lru_cache(maxsize=16)
def _shipped_once(content: bytes) -> object:
    import yaml

    # Only the loaders that build plain values are used.
    return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ConfigError(f"{path} has {size:,} bytes; a YAML file has at most {MAX_BYTES:,}")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line} is not UTF-8 text; save the file as UTF-8"
        ) from error


def _document(text: str) -> object:
    """Return what a text says; one without references is parsed once a process."""
    return _parsed(text) if "${" in text else copy.deepcopy(_parsed_once(text))


@functools.lru_cache(maxsize=16)
def _parsed_once(text: str) -> object:
    return _parsed(text)


def _parsed(text: str) -> object:
    from omegaconf import OmegaConf

    _check_size(text)
    loaded = OmegaConf.load(io.StringIO(text))
    raw = OmegaConf.to_container(loaded, resolve=False)
    n_signs = 0
    for value in _texts(raw):
        for path in _REFERENCE.findall(_checked_variables(value)):
            target = repr(_at(raw, path))
            n_signs += len(target)
            if "${" in target or n_signs > MAX_VALUES:
                raise ConfigError(f"${{{path}}} refers to references, or to too much; write it out")
    return OmegaConf.to_container(loaded, resolve=True)


def _check_size(text: str) -> None:
    """Refuse nesting and aliases that would exhaust the stack or the memory of a reader."""
    import yaml

    # Values inside each open collection, and of each anchor that is closed.
    open_: list[tuple[str | None, int]] = [(None, 0)]
    n_values_of: dict[str, int] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        n_values = 0
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 1))
            if len(open_) > MAX_DEPTH:
                line = event.start_mark.line + 1
                raise ConfigError(f"line {line} is nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, n_values = open_.pop()
            n_values_of[anchor or ""] = n_values
        elif isinstance(event, yaml.ScalarEvent):
            n_values = n_values_of[event.anchor or ""] = 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in n_values_of:
                line = event.start_mark.line + 1
                raise ConfigError(f"line {line}: *{event.anchor} stands inside itself or nowhere")
            n_values = n_values_of[event.anchor]
        anchor, before = open_[-1]
        open_[-1] = (anchor, before + n_values)
        if before + n_values > MAX_VALUES:
            raise ConfigError(f"it has more than {MAX_VALUES:,} values, aliases written out")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _at(document: object, path: str) -> object:
    """Return the value at a path such as ``a.b[0]``, unresolved; None where there is none."""
    for part in re.split(r"[.\[\]]+", path.rstrip("]")):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            document = document.get(part) if isinstance(document, dict) else None
    return document


def _checked_variables(text: str) -> str:
    """Refuse all that is looked up outside the file, however it is spelt; return the rest."""
    allowed = {name.strip() for name in os.environ.get(ALLOWED_VARIABLE, "").split(",")}
    without = _REFERENCE.sub("", text)
    for found in _VARIABLE.finditer(without):
        if found[1] not in allowed:
            raise ConfigError(
                f"{found[0]} asks for the environment variable {found[1]}, and a file gets none "
                "unless you allow it by name; if you trust the file: "
                f"export {ALLOWED_VARIABLE}={found[1]}"
            )
    if "${" in _VARIABLE.sub("", without):
        raise ConfigError(
            f"{text[:80]!r} asks for more than another value of the file; write the value itself, "
            "or ${section.key}"
        )
    return _VARIABLE.sub("", text)


def validated(target: type[T], document: object, where: str) -> T:
    """Validate nested text input against a model or dataclass; errors name the nearest key.

    Raises:
        ConfigError: As said.
    """
    try:
        return TypeAdapter(target).validate_python(document)
    except ValidationError as error:
        found = error.errors()
        # A misspelt key comes first: it may be what makes another one seem missing.
        first = next((item for item in found if item["type"] in UNKNOWN), found[0])
        loc = [str(part) for part in first["loc"]]
        key = ".".join(filter(None, (where, *loc)))
        if first["type"] in UNKNOWN:
            hint = nearest(loc[-1], _fields(target, loc[:-1]))
            raise ConfigError(f"unknown key {key!r}; {hint}") from error
        if first["type"].startswith("missing"):
            raise ConfigError(f"{key} must be given: it has no default") from error
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{key}: {message}, got {masked(repr(first['input']))}") from error


def _fields(target: type[object], path: Sequence[str]) -> list[str]:
    schema = TypeAdapter(target).json_schema()
    node = schema
    for part in ("", *path):
        if part:
            is_position = part.isdigit() and "items" in node
            node = node["items"] if is_position else node.get("properties", {}).get(part, {})
        # An optional section is a choice between its schema and null.
        node = next((item for item in node.get("anyOf", ()) if "$ref" in item), node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return list(node.get("properties", {}))
