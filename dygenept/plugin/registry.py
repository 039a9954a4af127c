"""The registry: plugins, facet sets, models, data sets, assets and defaults, merged from YAML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import dygenept
from dygenept.errors import ConfigError
from dygenept.plugin.yaml_files import read_shipped_yaml, read_yaml, validated

ENVIRONMENT_VARIABLE = "DYGENEPT_REGISTRY"


class BenchDefaults(BaseModel):
    """What ``bench`` runs where nothing is said.

    Attributes:
        model: Preferred model.
        fallback: Model that needs no download, taken where the preferred one cannot be built.
        split: Split protocol.
        n_folds: Folds.
        seed: Seed.
        de_list: Top-20 DE list that is scored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "dygenept"
    fallback: str = "dygenept_small"
    split: str = "kfold"
    n_folds: int = 5
    seed: int = 42
    de_list: str = "top_non_dropout_de_20"


class Registry(BaseModel):
    """The merged registry; entries are validated where they are used, by their owners.

    Attributes:
        plugins: Modules with plugins.
        facets: Facet sets by name.
        models: Assemblies of parts by name.
        datasets: Data sets by name.
        collections: What data sets of one publisher have in common, by name.
        assets: Further files by name, such as knowledge graphs and checkpoints.
        defaults: What ``bench`` runs where nothing is said.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    plugins: tuple[str, ...] = ()
    facets: Mapping[str, Mapping[str, object]] = {}
    models: Mapping[str, Mapping[str, object]] = {}
    datasets: Mapping[str, Mapping[str, object]] = {}
    collections: Mapping[str, Mapping[str, object]] = {}
    assets: Mapping[str, Mapping[str, object]] = {}
    defaults: BenchDefaults = BenchDefaults()


def bundled_registry_path() -> Path:
    """Return the registry that ships: inside the installed package, or beside it in a checkout.

    Raises:
        ConfigError: If neither is there (a broken installation).
    """
    package = Path(dygenept.__file__).parent
    for path in (package / "registry.yaml", package.parent / "registry.yaml"):
        if path.is_file():
            return path
    raise ConfigError(f"registry.yaml is missing from {package}; reinstall dygenept")


def catalogue_paths() -> tuple[Path, ...]:
    """Return the files of published data sets that ship with the package, sorted by name."""
    folder = Path(dygenept.__file__).parent / "resources" / "catalogue"
    return tuple(sorted(folder.glob("*.yaml")))


def load_registry(extra: Sequence[Path] = ()) -> Registry:
    """Merge the bundled registry, the catalogue, ``$DYGENEPT_REGISTRY`` and further files.

    The last one wins.

    Lists of plugins are joined; mappings are merged key by key.

    Raises:
        ConfigError: If a file is missing, is not YAML, or has an unknown key.
    """
    paths = []
    if from_environment := os.environ.get(ENVIRONMENT_VARIABLE):
        paths.append(Path(from_environment).expanduser())
    paths.extend(extra)
    bundled = bundled_registry_path()
    merged: dict[str, object] = dict(read_shipped_yaml(bundled))
    for shipped in catalogue_paths():
        merged = merge(merged, read_shipped_yaml(shipped))
    registry = _validate(merged, bundled)
    for path in paths:
        document = read_yaml(path)
        plugins = [*_plugins(merged, path), *_plugins(document, path)]
        merged = merge(merged, document)
        merged["plugins"] = list(dict.fromkeys(plugins))
        registry = _validate(merged, path)
    return registry


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Merge two nested mappings; ``over`` wins, and anything but a mapping replaces."""
    merged = dict(base)
    for key, value in over.items():
        current = merged.get(key)
        if isinstance(current, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(current, value)
        else:
            merged[key] = value
    return merged


def _plugins(document: Mapping[str, object], path: Path) -> list[str]:
    plugins = document.get("plugins") or []
    if not isinstance(plugins, list) or not all(isinstance(item, str) for item in plugins):
        raise ConfigError(f"{path}: plugins must be a list of module names")
    return plugins


def _validate(document: Mapping[str, object], path: Path) -> Registry:
    try:
        return validated(Registry, document, "")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
