"""The table builder's facets follow GO's relations."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from go_roots import FacetRoots

from dygenept.errors import DataError

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "build_gene_tables.py"


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
