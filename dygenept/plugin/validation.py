"""Validation of what people write: YAML, flags and result files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from dygenept.errors import ConfigError, nearest
from dygenept.machine.addresses import masked

T = TypeVar("T")
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


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
