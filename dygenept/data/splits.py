"""Splits as manifests: made, checked against a data set, written and read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.data.reading.label_kinds import twin_labels
from dygenept.errors import SplitError, nearest
from dygenept.machine.whole_files import write_whole
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import Splitter
from dygenept.plugin.specs import SplitSpec
from dygenept.types import Fold, PerturbationData, Split

MAX_SEED = 2**32 - 1
_HASH_NAME = re.compile(r"[0-9a-f]{64}")


class FoldManifest(BaseModel):
    """One fold as JSON; labels leave control out, and each part is sorted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    subgroups: dict[str, tuple[str, ...]] = {}
    test_cell_type: str | None = None


class SplitManifest(BaseModel):
    """A whole split as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: str
    version: int
    seed: int
    dataset_sha256: str
    folds: tuple[FoldManifest, ...]


def make_split(
    spec: SplitSpec, splitter: Splitter, data: PerturbationData, *, n_folds: int, seed: int
) -> Split:
    """Cut a data set into folds and check them.

    Args:
        spec: The protocol, for its name and version.
        splitter: What ``spec.factory`` built.
        data: The data set.
        n_folds: Number of folds; protocols with one fold ignore it.
        seed: Seed in [0, 2**32 - 1], the range of numpy's legacy generator.

    Raises:
        PluginError: If the protocol's code fails.
        SplitError: If the seed is out of range, or a fold is empty or leaks. An empty test part
            passes here, since ``gears_no_test`` has none by design; ``check_split`` refuses it.
    """
    if not 0 <= seed <= MAX_SEED:
        raise SplitError(f"seed {seed} is not allowed; give one from 0 to {MAX_SEED}")
    with plugin_code(f"split {spec.name!r}"):
        folds = splitter.folds(data, n_folds=n_folds, seed=seed)
    split = Split(
        algorithm=spec.name,
        version=spec.version,
        seed=seed,
        dataset_sha256=data.sha256,
        folds=folds,
    )
    check_split(split, data, needs_test=False)
    return split


def split_to_json(split: Split) -> str:
    """Return the manifest: sorted keys, two spaces of indent, one newline at the end."""
    return json.dumps(_document(split), indent=2, sort_keys=True) + "\n"


def fold_to_json(fold: Fold) -> str:
    """Return one fold as a file of labels, which ``--split FILE`` and split ``manifest`` read."""
    return json.dumps(_fold_document(fold), indent=2, sort_keys=True) + "\n"


def split_from_json(text: str, *, where: str = "split manifest") -> Split:
    """Read a manifest.

    Args:
        text: What ``split_to_json`` wrote.
        where: Names the text in errors, such as its path.

    Raises:
        SplitError: If it is not a manifest; the key at fault is named.
    """
    try:
        manifest = SplitManifest.model_validate_json(text)
    except ValidationError as error:
        raise SplitError(f"{where}: {describe(error, SplitManifest.model_fields)}") from error
    return Split(
        algorithm=manifest.algorithm,
        version=manifest.version,
        seed=manifest.seed,
        dataset_sha256=manifest.dataset_sha256,
        folds=tuple(fold_from_manifest(fold) for fold in manifest.folds),
    )


def fold_from_manifest(fold: FoldManifest) -> Fold:
    """Return the fold that a manifest describes."""
    return Fold(
        train=fold.train,
        val=fold.val,
        test=fold.test,
        subgroups=dict(fold.subgroups),
        test_cell_type=fold.test_cell_type,
    )


def split_sha256(split: Split) -> str:
    """Hash a split: SHA-256 of its manifest as JSON with sorted keys and no white space."""
    canonical = json.dumps(_document(split), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def save_split(split: Split, folder: Path) -> Path:
    """Write ``splits/<sha256>.json`` below a results folder and return its path.

    A manifest that is already there is kept: its name says what it contains.
    """
    path = folder / "splits" / f"{split_sha256(split)}.json"
    if path.exists():
        return path
    write_whole(path, split_to_json(split).encode())
    return path


def load_split(path: Path) -> Split:
    """Read a saved manifest.

    Raises:
        SplitError: If the file is missing, is not a manifest, or is named by a hash that is not
            that of its content.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SplitError(f"cannot read split manifest {path}: {error}") from error
    split = split_from_json(text, where=str(path))
    if _HASH_NAME.fullmatch(path.stem) and path.stem != split_sha256(split):
        raise SplitError(
            f"{path} was edited: its content hashes to {split_sha256(split)}; rename it and pass "
            "it as a manifest (--split manifest) if the edit is meant"
        )
    return split


def check_split(split: Split, data: PerturbationData, *, needs_test: bool = True) -> None:
    """Refuse a split that does not fit the data set or leaks.

    Train and validation never share a label, nor a set of target genes under two spellings or
    guides. Test shares none with either, except under ``test_cell_type``: there train and
    validation are conditions of the other cell types, so the same label may be held out in this
    one.

    Test has no condition whose cells chose the genes of the file.

    Where nothing is to be scored, ``needs_test=False`` lets an empty test part pass.

    Raises:
        SplitError: As said; the message names the fold and the fix.
    """
    if split.dataset_sha256 != data.sha256:
        raise SplitError(
            f"split {split.algorithm!r} was made for the data set {split.dataset_sha256[:12]}…, "
            f"but {data.name!r} is {data.sha256[:12]}…; make a new split, or open the file it was "
            "made from"
        )
    if not split.folds:
        raise SplitError(f"split {split.algorithm!r} has no fold; give it at least one")
    known = {condition.label for condition in data.conditions}
    twins = twin_labels(data)
    for number, fold in enumerate(split.folds, start=1):
        where = f"fold {number} of split {split.algorithm!r}"
        _check_labels(fold, known, where=where)
        _check_overlap(fold, where=where)
        _check_twins(fold, twins, where=where)
        _check_cell_type(fold, data, where=where)
        _check_genes(fold, data, where=where)
        if not fold.train:
            raise SplitError(
                f"{where} has no train perturbation; use fewer folds, another seed or --split kfold"
            )
        if needs_test and not fold.test:
            raise SplitError(
                f"{where} has no test perturbation, so there is nothing to score; use another "
                "seed, or --split kfold"
            )


def describe(error: ValidationError, allowed: Iterable[str]) -> str:
    """Say in one line what is wrong with a manifest, and the nearest allowed key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        fields = allowed if len(first["loc"]) == 1 else FoldManifest.model_fields
        return f"unknown key {key!r}; {nearest(name, fields)}"
    return f"{key or 'document'}: {first['msg'].lower()}"


def _document(split: Split) -> dict[str, object]:
    return {
        "algorithm": split.algorithm,
        "version": split.version,
        "seed": split.seed,
        "dataset_sha256": split.dataset_sha256,
        "folds": [_fold_document(fold) for fold in split.folds],
    }


def _fold_document(fold: Fold) -> dict[str, object]:
    document: dict[str, object] = {
        "train": list(fold.train),
        "val": list(fold.val),
        "test": list(fold.test),
        "subgroups": {name: list(labels) for name, labels in sorted(fold.subgroups.items())},
    }
    if fold.test_cell_type is not None:
        document["test_cell_type"] = fold.test_cell_type
    return document


def _check_labels(fold: Fold, known: set[str], *, where: str) -> None:
    for part, labels in (("train", fold.train), ("val", fold.val), ("test", fold.test)):
        if len(set(labels)) != len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise SplitError(f"{where} lists {twice!r} twice in {part}; list each label once")
        for label in labels:
            if label not in known:
                close = nearest(label, known).split("known:")[0].strip()
                raise SplitError(
                    f"{where} has {label!r} in {part}, which the data set does not; "
                    f"{close or 'remove it, or use the data set the split was made for'}"
                )
    for name, labels in fold.subgroups.items():
        stray = set(labels) - set(fold.test)
        if stray:
            raise SplitError(
                f"{where}: subgroup {name!r} has {min(stray)!r}, which is not in test; "
                "subgroups may contain only test labels"
            )


def _check_overlap(fold: Fold, *, where: str) -> None:
    train, val, test = set(fold.train), set(fold.val), set(fold.test)
    pairs = [("train", "val", train & val)]
    if fold.test_cell_type is None:
        pairs += [("train", "test", train & test), ("val", "test", val & test)]
    for first, second, shared in pairs:
        if shared:
            raise SplitError(
                f"{where} has {min(shared)!r} in both {first} and {second} "
                f"({len(shared)} such label(s)); keep each label in one part"
            )


def _check_twins(fold: Fold, twins: Mapping[str, str], *, where: str) -> None:
    if not twins:
        return
    parts = {"train": fold.train, "val": fold.val}
    if fold.test_cell_type is None:
        parts["test"] = fold.test
    found: dict[str, tuple[str, str]] = {}
    for part, labels in parts.items():
        for label in labels:
            if label not in twins:
                continue
            other, there = found.setdefault(twins[label], (label, part))
            if there != part:
                raise SplitError(
                    f"{where} has {other!r} in {there} and {label!r} in {part}, which are one set "
                    f"of target genes ({twins[label]}); give them one label (--guide-pattern for "
                    "guides, --separator for combinations), or keep them in one part"
                )


def _check_cell_type(fold: Fold, data: PerturbationData, *, where: str) -> None:
    held_out = fold.test_cell_type
    if held_out is None:
        return
    if held_out not in data.cell_types:
        raise SplitError(
            f"{where} holds out cell type {held_out!r}; {nearest(held_out, data.cell_types)}"
        )
    inside = {c.label for c in data.conditions if c.cell_type == held_out}
    outside = {c.label for c in data.conditions if c.cell_type != held_out}
    for part, labels, there in (
        ("train", fold.train, outside),
        ("val", fold.val, outside),
        ("test", fold.test, inside),
    ):
        missing = set(labels) - there
        if missing:
            side = "outside" if part != "test" else "in"
            raise SplitError(
                f"{where} has {min(missing)!r} in {part}, which has no cell {side} cell type "
                f"{held_out!r}; remove it from {part}"
            )


def _check_genes(fold: Fold, data: PerturbationData, *, where: str) -> None:
    if not data.genes_chosen_on:
        return
    held_out = data.conditions_of(fold.test, cell_type=fold.test_cell_type)
    if stray := sorted(data.genes_chosen_on.intersection(held_out)):
        raise SplitError(
            f"{where} holds out {stray[0].label!r}, whose cells chose which genes {data.name!r} "
            f"has ({len(stray)} such condition(s)); run the fold that they were chosen for alone, "
            "by --split with the .split.json that `dygenept data prepare --fold` wrote, or "
            "prepare the file without --fold"
        )
