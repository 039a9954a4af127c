"""Prepares a data set: finds its file, chooses the train cells of a fold, and writes the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from dygenept.data.catalog import fetch_dataset, resolve_dataset
from dygenept.data.prepare.documents import Manifest
from dygenept.data.prepare.options import PrepareOptions, known_modality
from dygenept.data.prepare.pipeline import Prepared, prepare_file
from dygenept.data.prepare.screen import describe_screen
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.splits import fold_to_json, make_split
from dygenept.errors import ConfigError
from dygenept.machine.places import followed
from dygenept.machine.whole_files import write_whole
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import SplitSpec
from dygenept.reports.screen_page import screen_page
from dygenept.types import DataMapping, Fold, PerturbationData, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldChoice:
    """The fold whose train cells choose variable genes.

    Attributes:
        split: Split protocol.
        options: Its options.
        n_folds: Folds.
        fold: Position of the fold, from 0.
        seed: Seed of the split.
    """

    split: str
    options: Mapping[str, object]
    n_folds: int
    fold: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRequest:
    """What is prepared, how, and where to.

    Attributes:
        dataset: Registered name, or path of a file.
        output: The ready file.
        options: The steps; an entry of the registry gives the mapping, counts and modality that
            they leave out.
        fold: The fold whose train cells choose variable genes; None for control cells alone.
        writes_page: Write the page of the screen.
    """

    dataset: str
    output: Path
    options: PrepareOptions
    fold: FoldChoice | None = None
    writes_page: bool = True

    @property
    def manifest(self) -> Path:
        """Where the manifest goes."""
        return self.output.with_suffix(".manifest.json")

    @property
    def labels(self) -> Path:
        """Where the labels of the fold go that genes were chosen for."""
        return self.output.with_suffix(".split.json")

    @property
    def page(self) -> Path:
        """Where the page goes."""
        return self.output.with_suffix(".report.html")


def prepare(
    request: PrepareRequest, environment: Environment, report: Callable[[Progress], None]
) -> Prepared:
    """Write a ready file, its manifest, the fold it was made for and the page of the screen.

    Raises:
        DataError: If the data set cannot be had, or breaks a rule.
        ConfigError: If an option does not fit.
    """
    if request.output.suffix != ".h5ad":
        raise ConfigError(f"--output must name an .h5ad file, got {request.output}")
    own = None if request.fold is None else request.fold.options.get("path")
    if own is not None and followed(Path(str(own))) == followed(request.labels):
        raise ConfigError(
            f"{own} is where the labels of the fold are written; name another --output, or another "
            "file of labels"
        )
    options = _completed(request, environment)
    path = fetch_dataset(request.dataset, environment, environment.runtime(report))
    choice = request.fold
    cut: list[Fold] = []

    def fold_of(data: PerturbationData) -> Fold:
        assert choice is not None
        cut.append(_cut_fold(data, choice, environment))
        return cut[0]

    prepared = prepare_file(
        path,
        request.output,
        options,
        fold_of=None if choice is None else fold_of,
        report=report,
    )
    manifest = prepared.manifest
    # A page of an earlier ready file would say something else, also if this process ends here.
    request.page.unlink(missing_ok=True)
    _write_manifest(request, manifest)
    for fold in cut:
        write_whole(request.labels, fold_to_json(fold).encode())
    if request.writes_page:
        data = read_anndata(request.output)
        screen = describe_screen(
            data, permutations=options.permutations, seed=options.seed, report=report
        )
        manifest = {**manifest, "screen": screen}
        day = datetime.now(UTC).date().isoformat()
        write_whole(request.page, screen_page(prepared.manifest, screen, day).encode())
        _write_manifest(request, manifest)
    return replace(prepared, manifest=manifest)


def _write_manifest(request: PrepareRequest, manifest: Manifest) -> None:
    write_whole(request.manifest, (json.dumps(manifest, indent=1) + "\n").encode())


def _completed(request: PrepareRequest, environment: Environment) -> PrepareOptions:
    """Take from the registry what the request leaves out."""
    entry = resolve_dataset(request.dataset, environment).entry
    options = request.options
    if entry is None:
        return options
    known = {field.name for field in fields(DataMapping)}
    own = {name: value for name, value in entry.options.items() if name in known}
    own = {name: tuple(of) if isinstance(of, list) else of for name, of in own.items()}
    return replace(
        options,
        mapping=DataMapping(**own | options.mapping.given()),  # type: ignore[arg-type]
        normalize=options.normalize or bool(entry.options.get("normalize")),
        modality=options.modality or known_modality(entry.modality) or "",
    )


def _cut_fold(data: PerturbationData, choice: FoldChoice, environment: Environment) -> Fold:
    """Cut the kept cells into folds as ``bench`` cuts the ready file, and return one."""
    plugin = environment.configured(SplitSpec, choice.split, choice.options)
    splitter = plugin.spec.factory(plugin.options)
    split = make_split(plugin.spec, splitter, data, n_folds=choice.n_folds, seed=choice.seed)
    if not 0 <= choice.fold < len(split.folds):
        raise ConfigError(f"--fold {choice.fold + 1}: the split has {len(split.folds)} fold(s)")
    return split.folds[choice.fold]
