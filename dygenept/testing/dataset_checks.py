"""Conformance of data sources, and of the data that they load."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from dygenept.errors import DataUnavailableError
from dygenept.plugin.interfaces import DatasetSource, DatasetStatus
from dygenept.plugin.specs import DatasetSpec
from dygenept.testing.rules import Rules, checking, configured
from dygenept.types import PerturbationData, Runtime


def check_dataset(
    spec: DatasetSpec,
    *,
    options: Mapping[str, object] | None = None,
    data_dir: Path | None = None,
) -> None:
    """Check a data source.

    ``status`` reads and writes nothing; ``load`` gives consistent data, the same every time, or,
    where the file is neither on disk nor can be made, a ``DataUnavailableError`` that says where
    it belongs. No byte is downloaded: the network is switched off for the length of the check.

    Args:
        spec: The plugin.
        options: Its options: the registry entry of one data set.
        data_dir: Where data sets live; None takes an empty folder for the length of the check.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If the plugin needs options that were not given.
    """
    config = configured(spec, options)
    with contextlib.ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rules = stack.enter_context(checking(spec))
        stack.enter_context(_no_network())
        source = spec.factory(config)
        rules.require(isinstance(source, DatasetSource), "it lacks status, fetch or load")
        before = _listing(folder)
        status = source.status(folder)
        _check_status(status, rules)
        rules.require(source.status(folder) == status, "status changes from one call to the next")
        rules.require(_listing(folder) == before, "status wrote into the data folder")
        try:
            data = source.load(folder, Runtime())
        except DataUnavailableError as error:
            rules.require(not status.is_present, f"status says it is there, but load says: {error}")
            rules.require(
                status.path is not None and str(status.path) in str(error),
                f"its error must name the path where the file belongs, {status.path}: {error}",
            )
            rules.require(_listing(folder) == before, "a failed fetch left files behind")
            return
        _check_loaded(source, data, folder, rules)


def check_perturbation_data(data: PerturbationData, rules: Rules) -> None:
    """Check that the parts of a data set agree with each other.

    Raises:
        ConformanceError: If they do not.
    """
    n_cells, n_genes = data.n_cells, data.n_genes
    # Without a limit on memory every source gives a matrix of scipy.
    matrix: Any = data.expression
    rules.require(matrix.format == "csr", f"expression must be CSR, got {matrix.format}")
    rules.require(matrix.dtype == np.float32, f"expression must be float32, got {matrix.dtype}")
    rules.require(bool(matrix.has_sorted_indices), "expression has unsorted indices")
    rules.require(
        bool(np.isfinite(matrix.data).all()) and not (matrix.data < 0).any(),
        "expression contains NaN, infinite or negative values",
    )
    rules.require(
        len(data.gene_ids) == len(set(data.gene_ids)) == len(data.gene_symbols) == n_genes,
        "gene_ids must be unique, and gene_ids and gene_symbols as many as output genes",
    )
    codes, cell_types = data.condition_codes, data.cell_type_codes
    rules.require(
        len(codes) == len(cell_types) == len(data.cell_ids) == n_cells,
        "condition_codes, cell_type_codes and cell_ids must have one entry per cell",
    )
    rules.require(
        bool(np.array_equal(np.unique(codes[codes >= 0]), np.arange(len(data.conditions)))),
        "every condition needs a cell, and every condition code a condition",
    )
    rules.require(
        bool(np.array_equal(np.unique(cell_types), np.arange(len(data.cell_types)))),
        "every cell type needs a cell, and every cell type code a cell type",
    )
    rules.require(
        tuple(sorted(set(data.conditions))) == data.conditions,
        "conditions must be sorted and each there once",
    )
    rules.require(tuple(sorted(data.cell_types)) == data.cell_types, "cell_types must be sorted")
    _check_labels(data, rules)
    for name, lists in data.de_lists.items():
        rules.require(
            lists.shape == (len(data.conditions), 20)
            and bool(((lists >= -1) & (lists < n_genes)).all()),
            f"DE list {name!r} must have 20 positions below {n_genes} per condition, padded with "
            "-1",
        )


def _check_labels(data: PerturbationData, rules: Rules) -> None:
    control = data.condition_codes < 0
    has_control = np.zeros(len(data.cell_types), dtype=bool)
    has_control[data.cell_type_codes[control]] = True
    # A cell type without controls can be read, but not scored; one at least must have them.
    rules.require(bool(has_control.any()), "no cell type has control cells")
    labels = {condition.label for condition in data.conditions}
    rules.require(
        set(data.raw_labels) == set(data.raw_to_label)
        and set(data.raw_to_label.values()) == labels,
        "raw_labels, raw_to_label and the conditions name different perturbations",
    )
    for condition in data.conditions:
        rules.require(
            bool(condition.genes) and condition.genes == tuple(sorted(set(condition.genes))),
            f"target genes of {condition.label!r} must be sorted and each there once",
        )


def _check_loaded(
    source: DatasetSource, data: PerturbationData, folder: Path, rules: Rules
) -> None:
    check_perturbation_data(data, rules)
    status = source.status(folder)
    rules.require(status.is_present, "status says that it is not there right after load")
    if status.path is not None:
        rules.require(status.path.exists(), f"status names {status.path}, which does not exist")
        fetched = source.fetch(folder, Runtime())
        rules.require(fetched == status.path, f"fetch returns {fetched}, status {status.path}")
    again = source.load(folder, Runtime())
    rules.require(
        again.sha256 == data.sha256 and again.conditions == data.conditions,
        "loading twice gives two different data sets",
    )


def _check_status(status: DatasetStatus, rules: Rules) -> None:
    rules.require(
        isinstance(status, DatasetStatus), f"status must be a DatasetStatus, got {status!r}"
    )
    rules.require(bool(status.detail), "status says nothing in detail")


def _listing(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _no_network() -> contextlib.ExitStack:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network during a conformance check")

    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(socket.socket, "connect", refuse))
    stack.enter_context(mock.patch.object(socket, "getaddrinfo", refuse))
    return stack
