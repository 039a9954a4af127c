"""The original model's tensor file: read as it was written, refused where it breaks a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dygenept.errors import ConfigError, DataError
from dygenept.knowledge.store.formats.original import read_original, write_original
from dygenept.knowledge.store.knowledge_files import read_knowledge
from dygenept.types import FACETS, GeneKnowledge

RNG = np.random.default_rng(0)
GENES = ("KLF1", "MAPK1", "α-gene")


def knowledge() -> GeneKnowledge:
    values = RNG.normal(size=(3, 8, 5)).astype(np.float32)
    confidence = RNG.uniform(0.1, 1.0, size=(3, 8)).astype(np.float32)
    confidence[1, 2] = 0.0
    values[1, 2] = 0.0
    return GeneKnowledge("true", "0" * 64, GENES, FACETS, values, confidence)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".npz", ".safetensors"])
def test_original_file_is_read_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    true, path = knowledge(), tmp_path / f"facets{suffix}"
    if suffix == ".pth":
        write_original(true, tmp_path / "facets.pt")
        (tmp_path / "facets.pt").rename(path)
    else:
        write_original(true, path)
    read = read_knowledge(path)
    assert (read.name, read.genes, read.facet_names) == ("facets", GENES, FACETS)
    np.testing.assert_array_equal(read.values, true.values)
    np.testing.assert_array_equal(read.confidence, true.confidence)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_written_original_file_has_the_fields_of_the_original_model(tmp_path: Path) -> None:
    write_original(knowledge(), tmp_path / "f.pt")
    document = torch.load(tmp_path / "f.pt", weights_only=True)
    assert set(document) == {"tensor", "gene_to_idx", "facet_names", "confidence"}
    assert document["gene_to_idx"] == {"KLF1": 0, "MAPK1": 1, "α-gene": 2}
    assert document["facet_names"] == list(FACETS)
    assert document["tensor"].shape == (3, 8, 5)


def test_original_file_may_hold_half_precision_numpy_aliases_and_no_confidence(
    tmp_path: Path,
) -> None:
    tensor = RNG.normal(size=(3, 2, 4)).astype(np.float16)
    tensor[1, 0] = 0
    document = {
        "tensor": tensor,
        "gene_to_idx": {"B": 1, "A": 0, "ALIAS_OF_A": 0},
        "facet_names": ["x", "y"],
    }
    torch.save(document, tmp_path / "f.pt")
    read = read_original(tmp_path / "f.pt")
    assert read.genes == ("A", "ALIAS_OF_A", "B")
    np.testing.assert_array_equal(read.values, tensor[[0, 0, 1]].astype(np.float32))
    np.testing.assert_array_equal(read.confidence, [[1, 1], [1, 1], [0, 1]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_original_tensor_may_be_of_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.tensor(RNG.normal(size=(1, 1, 4)), dtype=dtype)
    torch.save({"tensor": tensor, "gene_to_idx": {"A": 0}, "facet_names": ["x"]}, tmp_path / "f.pt")
    read = read_original(tmp_path / "f.pt")
    np.testing.assert_array_equal(read.values, tensor.float().numpy())


def _document(**changed: object) -> dict[str, object]:
    document: dict[str, object] = {
        "tensor": torch.ones(2, 1, 3),
        "gene_to_idx": {"A": 0, "B": 1},
        "facet_names": ["x"],
        "confidence": torch.ones(2, 1),
    }
    return {**document, **changed}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tensor": torch.ones(2, 3)}, "expected .genes, facets, D."),
        ({"tensor": [1.0]}, "array of numbers"),
        ({"tensor": torch.full((2, 1, 3), torch.nan)}, "NaN"),
        ({"gene_to_idx": {"A": 2}}, "row below 2"),
        ({"gene_to_idx": {1: 0}}, "row below 2"),
        ({"gene_to_idx": {}}, "map gene symbols"),
        ({"gene_to_idx": ["A", "B"]}, "map gene symbols"),
        ({"facet_names": ["x", "y"]}, "expected .2, 2, D."),
        ({"facet_names": "x"}, "list of texts"),
        ({"confidence": torch.ones(2, 2)}, "confidence is"),
        ({"confidence": torch.full((2, 1), 1.5)}, "outside"),
        ({"confidence": torch.full((2, 1), torch.nan)}, "outside"),
    ],
)
def test_original_file_that_breaks_a_rule_is_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    torch.save(_document(**changed), tmp_path / "f.pt")
    with pytest.raises(DataError, match=message):
        read_original(tmp_path / "f.pt")


def test_original_file_without_a_field_names_it(tmp_path: Path) -> None:
    document = _document()
    del document["facet_names"]
    torch.save(document, tmp_path / "f.pt")
    with pytest.raises(DataError, match="lacks 'facet_names'"):
        read_original(tmp_path / "f.pt")


def test_original_file_is_not_written_under_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.safetensors"):
        write_original(knowledge(), tmp_path / "f.csv")


def test_a_view_that_is_larger_than_its_file_can_hold_is_refused(tmp_path: Path) -> None:
    tensor = torch.zeros(1).expand(1_000_000, 100, 100)
    document = {"tensor": tensor, "gene_to_idx": {"A": 0}, "facet_names": ["x"] * 100}
    torch.save(document, tmp_path / "a.pt")
    with pytest.raises(DataError, match="more than the file can hold"):
        read_original(tmp_path / "a.pt")
