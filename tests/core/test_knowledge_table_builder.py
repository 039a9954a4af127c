"""The table builder makes the shipped files again, and its facets follow GO's relations."""

from __future__ import annotations

import importlib.resources
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from dygenept.errors import DataError
from dygenept.knowledge.facet_roots import FacetRoots

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_gene_tables.py"


@pytest.fixture(scope="module")
def builder() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("build_gene_tables", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_gene_tables"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["build_gene_tables"]


NAMES = {term: f"term {term}" for term in "ABCDEFG"}
# B is_a A; C part_of B; D regulates C; E is_a D; F is_a A; G regulates A
DOWN = {"A": {"B", "F"}, "B": {"C"}, "D": {"E"}}
REGULATORS = {"C": {"D"}, "A": {"G"}}


def roots(**groups: str) -> FacetRoots:
    return FacetRoots(
        **{group: {term: NAMES[term] for term in terms} for group, terms in groups.items()}
    )


@pytest.mark.parametrize(
    ("facet", "members"),
    [
        (roots(plain="A"), "ABCF"),
        (roots(regulated="A"), "ABCDEFG"),
        (roots(regulated="B"), "BCDE"),
        (roots(regulated="A", excluded="B"), "ADEFG"),
        (roots(plain="B", regulated="F"), "BCF"),
    ],
)
def test_a_facet_inherits_along_relations_and_drops_what_is_excluded(
    builder: ModuleType, facet: FacetRoots, members: str
) -> None:
    assert builder._members(facet, NAMES, DOWN, REGULATORS) == set(members)


def test_a_root_that_go_calls_otherwise_is_refused(builder: ModuleType) -> None:
    with pytest.raises(DataError, match="term A"):
        builder._members(FacetRoots(plain={"A": "another name"}), NAMES, DOWN, REGULATORS)


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_shipped_tables_are_what_the_script_makes(
    builder: ModuleType, shared_data: Path
) -> None:
    folder = importlib.resources.files("dygenept") / "resources" / "genes"
    for name, frame in builder.build(shared_data / "genes").items():
        shipped = pl.read_parquet((folder / f"{name}.parquet").read_bytes())
        assert frame.equals(shipped), name


@pytest.mark.shared_data
def test_the_targets_of_three_public_screens_resolve(shared_data: Path) -> None:
    from dygenept.knowledge.gene_tables import load_gene_tables

    tables = load_gene_tables()

    def targets(file: str) -> set[str]:
        labels = pl.read_csv(shared_data / "gears" / file, separator="\t").to_series(0).to_list()
        return {gene for label in labels for gene in label.split("+")} - {"ctrl"}

    def unresolved(file: str) -> set[str]:
        return {gene for gene in targets(file) if tables.resolve(gene) is None}

    assert unresolved("norman_gears_condition_cell_counts.tsv") == set()
    assert unresolved("adamson_functional_classes.tsv") == set()
    assert unresolved("replogle_k562_functional_classes_go_improved.tsv") == {"C14orf178"}
