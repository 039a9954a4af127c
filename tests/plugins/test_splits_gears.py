"""The GEARS protocols against manifests that cell-gears 0.1.2 made itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from dygenept.data.reading.labels import parse_labels
from dygenept.data.splits import check_split, make_split
from dygenept.errors import SplitError
from dygenept.testing.split_checks import check_split as check_conformance
from dygenept.testing.toy import ToyShape, toy_data
from dygenept.types import Condition, Fold, PerturbationData
from dygenept_plugins.splits import _gears_draws, gears

FIXTURE = Path(__file__).with_name("split_fixtures") / "gears_0_1_2.json"
PROTOCOLS = (
    "gears_simulation",
    "gears_simulation_single",
    "gears_combo_seen0",
    "gears_combo_seen1",
    "gears_combo_seen2",
    "gears_single",
    "gears_no_test",
)
NAMES = tuple(name.removeprefix("gears_") for name in PROTOCOLS)
SPECS = {spec.name.removeprefix("gears_"): spec for spec in gears.dygenept_splits()}
N_SEEDS = 31


@pytest.fixture(scope="module")
def oracle() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FIXTURE.read_text())
    return document


def data_of(labels: Sequence[str]) -> PerturbationData:
    """One empty cell per label, in order."""
    parsed = parse_labels(("ctrl", *labels)).perturbations
    named = {raw: item for raw, item in parsed.items() if item is not None}
    conditions = tuple(sorted({Condition(item, "cell") for item in named.values()}))
    codes = [-1, *(conditions.index(Condition(named[raw], "cell")) for raw in labels)]
    return PerturbationData(
        name="labels",
        source="test",
        sha256="0" * 64,
        is_simulated=True,
        expression=sparse.csr_matrix((len(codes), 1), dtype=np.float32),
        gene_ids=("gene",),
        gene_symbols=("gene",),
        cell_ids=np.arange(len(codes)).astype(str).astype(object),
        conditions=conditions,
        condition_codes=np.asarray(codes, dtype=np.int32),
        cell_types=("cell",),
        cell_type_codes=np.zeros(len(codes), dtype=np.int32),
        raw_labels=tuple(labels),
        raw_to_label={raw: item.label for raw, item in named.items()},
    )


def fold_of(name: str, labels: Sequence[str], seed: int) -> Fold:
    spec = SPECS[name]
    split = make_split(spec, spec.factory(spec.config()), data_of(labels), n_folds=5, seed=seed)
    (fold,) = split.folds
    return fold


def raw_split(name: str, labels: Sequence[str], seed: int) -> dict[str, Any]:
    if name.startswith("combo"):
        raw = _gears_draws.combo(labels, n_seen=int(name[-1]), seed=seed)
    else:
        raw = getattr(_gears_draws, name)(labels, seed=seed)
    groups = raw.subgroups if name == "simulation" else {}
    return {
        "train": sorted(raw.train),
        "val": sorted(raw.val),
        "test": sorted(raw.test),
        "subgroups": {group: sorted(members) for group, members in groups.items()},
    }


def appearing(oracle: dict[str, Any], name: str, order: str) -> list[str]:
    labels = [oracle["labels"][position] for position in oracle["orders"][order]]
    if name == "simulation_single":
        return [label for label in labels if "ctrl" in label]
    return labels


def test_there_are_seven_protocols_by_these_names() -> None:
    assert tuple(spec.name for spec in gears.dygenept_splits()) == PROTOCOLS


@pytest.mark.parametrize("order", ["sorted", "reversed", "shuffled"])
@pytest.mark.parametrize("name", NAMES)
def test_raw_labels_are_split_as_cell_gears_splits_them(
    name: str, order: str, oracle: dict[str, Any]
) -> None:
    labels = appearing(oracle, name, order)
    digests = [
        hashlib.sha256(
            json.dumps(
                raw_split(name, labels, seed), sort_keys=True, separators=(",", ":")
            ).encode()
        ).hexdigest()[:16]
        for seed in range(N_SEEDS)
    ]
    assert digests == oracle["digests"][order][name]


@pytest.mark.parametrize("name", NAMES)
def test_the_fold_pools_what_cell_gears_splits(name: str, oracle: dict[str, Any]) -> None:
    expected = oracle["full"][name]
    labels = appearing(oracle, name, "shuffled")
    assert raw_split(name, labels, expected["seed"]) == {
        part: expected[part] for part in ("train", "val", "test", "subgroups")
    }
    fold = fold_of(name, labels, expected["seed"])
    genes = {
        part: {genes_of(label) for label in expected[part]} for part in ("train", "val", "test")
    }
    assert {genes_of(label) for label in fold.test} == genes["test"]
    assert {genes_of(label) for label in fold.val} == genes["val"] - genes["test"]
    assert {genes_of(label) for label in fold.train} == (
        genes["train"] - genes["val"] - genes["test"]
    )
    assert {label for members in fold.subgroups.values() for label in members} == set(fold.test)


def genes_of(label: str) -> frozenset[str]:
    return frozenset(label.split("+")) - {"ctrl"}


def test_simulation_has_the_subgroups_of_cell_gears(oracle: dict[str, Any]) -> None:
    fold = fold_of("simulation", appearing(oracle, "simulation", "shuffled"), 1)
    expected = oracle["full"]["simulation"]["subgroups"]
    assert set(fold.subgroups) == {"unseen_single", "combo_seen0", "combo_seen1", "combo_seen2"}
    for name, labels in fold.subgroups.items():
        assert {genes_of(label) for label in labels} == {genes_of(x) for x in expected[name]}


def test_what_cell_gears_drops_is_in_no_part(oracle: dict[str, Any]) -> None:
    expected = oracle["full"]["combo_seen0"]
    labels = appearing(oracle, "combo_seen0", "shuffled")
    fold = fold_of("combo_seen0", labels, expected["seed"])
    used = {label for part in ("train", "val", "test") for label in expected[part]}
    dropped = {genes_of(label) for label in set(labels) - used}
    assert len(dropped) > 10
    assert not dropped & {genes_of(label) for label in (*fold.train, *fold.val, *fold.test)}


def test_a_perturbation_whose_two_labels_part_is_held_out() -> None:
    singles = [f"G{number}+ctrl" for number in range(20)]
    pairs = [f"G{i}+G{j}" for i in range(8) for j in range(i + 1, 8)]
    twins = ["+".join(reversed(pair.split("+"))) for pair in pairs]
    labels = [*singles, *pairs, *twins]
    raw = _gears_draws.combo(labels, n_seen=2, seed=3)
    fold = fold_of("combo_seen2", labels, 3)
    parts = {label: part for part in ("train", "val", "test") for label in getattr(raw, part)}
    mixed = [(pair, parts[pair], parts[twin]) for pair, twin in zip(pairs, twins, strict=True)]
    seen = {frozenset((first, second)) for _, first, second in mixed if first != second}
    assert {frozenset(("train", "test")), frozenset(("train", "val"))} <= seen
    for pair, first, second in mixed:
        expected = next(part for part in ("test", "val", "train") if part in (first, second))
        assert pair in getattr(fold, expected)
        assert sum(pair in getattr(fold, part) for part in ("train", "val", "test")) == 1


@pytest.mark.parametrize("spelling", ["{}", "control+{}", "{}+NT"])
def test_other_spellings_split_as_gears_own(spelling: str) -> None:
    genes = [f"G{number}" for number in range(24)]
    pairs = [f"G{number}+G{number + 1}" for number in range(20)]
    plain = fold_of("simulation", [f"{gene}+ctrl" for gene in genes] + pairs, 4)
    other = fold_of("simulation", [spelling.format(gene) for gene in genes] + pairs, 4)
    for part in ("train", "val", "test"):
        assert {genes_of(label) for label in getattr(plain, part)} == {
            genes_of(label) - {"control", "NT"} for label in getattr(other, part)
        }


def test_simulation_single_refuses_combinations_and_names_the_fix() -> None:
    with pytest.raises(SplitError, match=r"such as 'A\+B'; use --split gears_simulation"):
        fold_of("simulation_single", ["A+ctrl", "A+B", "B+ctrl"], 1)


def test_three_genes_are_refused_and_the_fix_is_named() -> None:
    with pytest.raises(SplitError, match=r"'A\+B\+C' has 3; use --split kfold"):
        fold_of("simulation", ["A+ctrl", "A+B+C", "B+ctrl"], 1)


def test_a_draw_that_holds_nothing_out_is_refused() -> None:
    with pytest.raises(SplitError, match="holds nothing out; use another --seed"):
        fold_of("combo_seen2", ["A+ctrl", "B+ctrl", "A+B"], 1)


def test_no_test_has_nothing_to_score() -> None:
    data = data_of([f"G{number}+ctrl" for number in range(20)])
    spec = SPECS["no_test"]
    split = make_split(spec, spec.factory(spec.config()), data, n_folds=5, seed=1)
    assert split.folds[0].test == ()
    assert split.folds[0].val
    with pytest.raises(SplitError, match="no test perturbation"):
        check_split(split, data)


@pytest.mark.parametrize("name", NAMES)
def test_gears_protocols_conform(name: str) -> None:
    n_doubles = 0 if name == "simulation_single" else 12
    shape = ToyShape(n_singles=12, n_doubles=n_doubles, n_cell_types=2)
    check_conformance(SPECS[name], data=toy_data(shape))


def test_drawing_leaves_the_global_generator_alone(oracle: dict[str, Any]) -> None:
    labels = appearing(oracle, "simulation", "sorted")
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    fold_of("simulation", labels, 1)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
