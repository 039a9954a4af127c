"""Folds read from a JSON file: one's own labels, or a split saved by an earlier run.

Either ``{"train": [...], "val": [...], "test": [...]}`` (one fold), or a whole saved manifest.
Labels may be any spelling that names a perturbation of the data: either order, with or without
``+ctrl``; control itself is left out. Source: this project. Loads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from dygenept.data.splits import FoldManifest, check_split, describe, fold_from_manifest, load_split
from dygenept.evaluation.held_out import subgroups
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl, nearest
from dygenept.types import CONTROL_LABEL, Fold, PerturbationData, Split


class ManifestConfig(PluginConfig):
    """Options of ``manifest``.

    Attributes:
        path: The JSON file.
    """

    path: Path


class Manifest:
    """Reads folds from a file; ``n_folds`` and the seed are ignored."""

    def __init__(self, config: ManifestConfig) -> None:
        self._path = config.path

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds.

        Raises:
            SplitError: If the file is not a manifest, was made for another data set, names a label
                that the data set does not have, or leaks.
        """
        split = self._read(data)
        names = _Spellings(data, where=str(self._path))
        folds = tuple(_with_subgroups(names.fold(fold), data) for fold in split.folds)
        check_split(replace(split, folds=folds), data)
        return folds

    def _read(self, data: PerturbationData) -> Split:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SplitError(f"cannot read split manifest {self._path}: {error}") from error
        if isinstance(document, dict) and "folds" in document:
            return load_split(self._path)
        try:
            fold = FoldManifest.model_validate(document)
        except ValidationError as error:
            message = describe(error, FoldManifest.model_fields)
            raise SplitError(f"{self._path}: {message}") from error
        return Split("manifest", 1, 0, data.sha256, (fold_from_manifest(fold),))


class _Spellings:
    """Finds the label of a perturbation from any spelling of it."""

    def __init__(self, data: PerturbationData, *, where: str) -> None:
        self._raw = dict(data.raw_to_label)
        self._by_genes = {frozenset(item.genes): item.label for item in data.perturbations}
        self._names = GeneNames(data.gene_symbols, data.gene_ids)
        self._targets = data.target_genes
        self._where = where

    def fold(self, fold: Fold) -> Fold:
        return replace(
            fold,
            train=self._labels(fold.train),
            val=self._labels(fold.val),
            test=self._labels(fold.test),
            subgroups={name: self._labels(group) for name, group in fold.subgroups.items()},
        )

    def _labels(self, written: Sequence[str]) -> tuple[str, ...]:
        labels = {self._label(text) for text in written if text != CONTROL_LABEL}
        return tuple(sorted(labels))

    def _label(self, text: str) -> str:
        genes = frozenset(part.strip() for part in text.split("+")) - {CONTROL_LABEL}
        label = self._raw.get(text) or self._by_genes.get(genes)
        if label is None:
            spelt = self._names.among(self._targets, sorted(genes))
            label = self._by_genes.get(frozenset(spelt.values()))
        if label is None:
            close = nearest(text, self._raw).split("known:")[0].strip()
            raise SplitError(
                f"{self._where} names {text!r}, which the data set does not have; "
                f"{close or 'remove it'}"
            )
        return label


def _with_subgroups(fold: Fold, data: PerturbationData) -> Fold:
    if fold.subgroups:
        return fold
    by_label = {item.label: item for item in data.perturbations}
    known = [by_label[label] for label in (*fold.train, *fold.val)]
    return replace(fold, subgroups=subgroups(known, [by_label[label] for label in fold.test]))


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="manifest",
            summary="Train, validation and test labels from a JSON file.",
            source="this project",
            config=ManifestConfig,
            factory=Manifest,
        )
    ]
