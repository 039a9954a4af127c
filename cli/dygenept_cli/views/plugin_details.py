"""What the command line shows of a plugin: where it is from, and its options."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, Union, get_args, get_origin

from dygenept.errors import PluginError, nearest
from dygenept.plugin.specs import KINDS, SPEC_CLASSES

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from dygenept.plugin.manager import PluginManager
    from dygenept.plugin.specs import PluginConfig, PluginSpec
    from dygenept.types.results import Provenance

_ATTRIBUTE = re.compile(r"^\s{4,}(\w+): (.+)$")


@dataclass(frozen=True, slots=True)
class PluginRow:
    """A plugin and where it came from."""

    spec: PluginSpec
    origin: Provenance

    @property
    def full_name(self) -> str:
        """Kind and name, such as ``attention/sparsemax``."""
        return f"{self.spec.kind}/{self.spec.name}"

    @property
    def found_in(self) -> str:
        """The distribution, file or module that it came from."""
        from dygenept.plugin.loading import FILE_DISTRIBUTION, UNKNOWN

        if self.origin.distribution == FILE_DISTRIBUTION:
            return f"file {Path(self.origin.owner).name}"
        if self.origin.distribution == UNKNOWN:
            return f"module {self.origin.owner}"
        return f"{self.origin.distribution} {self.origin.version}"

    def summary(self) -> dict[str, object]:
        """Return what a list shows, for JSON."""
        return {
            "kind": self.spec.kind,
            "name": self.spec.name,
            "summary": self.spec.summary,
            "source": self.spec.source,
            "distribution": self.origin.distribution,
            "version": self.origin.version,
            "owner": self.origin.owner,
            "requires": list(self.spec.requires),
            **self._guide(),
        }

    def _guide(self) -> dict[str, str]:
        """Return how a metric is read; empty for other kinds, and where nothing is said."""
        from dygenept.plugin.specs import EffectMetricSpec, MetricSpec

        spec = self.spec
        guide = spec.guide if isinstance(spec, MetricSpec | EffectMetricSpec) else None
        return {} if guide is None else {name: text for name, text in asdict(guide).items() if text}


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option of a plugin.

    Attributes:
        name: Key in YAML.
        type: Its type, as written in Python.
        default: Its default; None for an option that must be given.
        required: True if it must be given.
        allowed: Its bounds, such as ``ge=1``; empty without any.
        description: From the field, else from the config's docstring.
    """

    name: str
    type: str
    default: object
    required: bool
    allowed: str
    description: str


def plugin_rows(manager: PluginManager, *, kind: str | None = None) -> list[PluginRow]:
    """Return all plugins, by kind in the order of the walk and then by name.

    Raises:
        PluginError: If the kind is unknown; the nearest is named.
    """
    if kind is not None and kind not in KINDS:
        raise PluginError(f"unknown kind {kind!r}; {nearest(kind, KINDS)}")
    return [
        PluginRow(spec, manager.provenance(spec.kind, spec.name))
        for spec_class in SPEC_CLASSES
        if kind in (None, spec_class.kind)
        for spec in sorted(manager.specs(spec_class), key=lambda spec: spec.name)
    ]


def find_plugin(manager: PluginManager, name: str) -> PluginRow:
    """Find a plugin by ``name``, or by ``kind/name`` where several kinds share the name.

    Raises:
        PluginError: If no plugin has that name, or several have.
    """
    kind, _, short = name.rpartition("/")
    rows = plugin_rows(manager, kind=kind or None)
    found = [row for row in rows if row.spec.name == short]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(row.full_name for row in found)
        raise PluginError(f"several plugins are named {name!r}; say which: {choices}")
    raise PluginError(f"unknown plugin {name!r}; {nearest(short, (r.spec.name for r in rows))}")


def option_rows(config: type[PluginConfig]) -> list[OptionRow]:
    """Return a plugin's options in the order of its config."""
    described = _described(config)
    return [
        OptionRow(
            name=name,
            type=_type_name(field.annotation),
            default=None if field.is_required() else _plain(field),
            required=field.is_required(),
            allowed=", ".join(str(item) for item in _bounds(field)),
            description=field.description or described.get(name, ""),
        )
        for name, field in config.model_fields.items()
    ]


def _described(config: type[PluginConfig]) -> dict[str, str]:
    """Read the ``Attributes`` of a Google-style docstring, base classes first."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        _, _, attributes = (base.__doc__ or "").partition("Attributes:\n")
        name = ""
        for line in attributes.splitlines():
            match = _ATTRIBUTE.match(line)
            if match and match[1] in config.model_fields:
                name = match[1]
                found[name] = match[2].strip()
            elif name and line.strip():
                found[name] += f" {line.strip()}"
            else:
                name = ""
    return found


def _type_name(annotation: object) -> str:
    """Return a type as one would write it, without bounds and modules."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " | ".join(repr(argument) for argument in arguments)
    if origin in (Union, UnionType):
        return " | ".join(_type_name(argument) for argument in arguments)
    if annotation in (None, NoneType):
        return "None"
    if annotation is Ellipsis:
        return "..."
    name = getattr(origin or annotation, "__name__", str(annotation))
    inner = ", ".join(_type_name(argument) for argument in arguments)
    return f"{name}[{inner}]" if inner else str(name)


def _bounds(field: FieldInfo) -> list[str]:
    bounds = []
    for item in field.metadata:
        for name in ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern"):
            value = getattr(item, name, None)
            if value is not None:
                bounds.append(f"{name}={value}")
    return bounds


def _plain(field: FieldInfo) -> object:
    """Return a default as JSON has it."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(field.get_default(call_default_factory=True))
