from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import KFold

from dygenept.data.splits import make_split, split_sha256
from dygenept.errors import SplitError
from dygenept.testing.split_checks import check_split
from dygenept.testing.toy import ToyShape, toy_data
from dygenept.types import Condition, Perturbation, PerturbationData
from dygenept_plugins.splits.kfold import Kfold, KfoldConfig, dygenept_splits

SPEC = dygenept_splits()[0]


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data(ToyShape(n_singles=12, n_doubles=12))


def test_kfold_conforms() -> None:
    check_split(SPEC)


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
def test_test_parts_are_those_of_sklearn_over_sorted_labels(
    data: PerturbationData, seed: int
) -> None:
    labels = np.array(sorted(item.label for item in data.perturbations))
    folds = Kfold(KfoldConfig()).folds(data, n_folds=5, seed=seed)
    expected = KFold(5, shuffle=True, random_state=seed).split(labels)
    for fold, (known, test) in zip(folds, expected, strict=True):
        assert fold.test == tuple(labels[test])
        assert sorted((*fold.train, *fold.val)) == sorted(labels[known])


def test_every_perturbation_is_held_out_once(data: PerturbationData) -> None:
    folds = Kfold(KfoldConfig()).folds(data, n_folds=5, seed=42)
    held_out = [label for fold in folds for label in fold.test]
    assert sorted(held_out) == sorted(item.label for item in data.perturbations)


def test_folds_do_not_depend_on_the_order_of_cells_or_labels(data: PerturbationData) -> None:
    turned = replace(
        data, raw_labels=data.raw_labels[::-1], condition_codes=data.condition_codes[::-1]
    )
    splitter = Kfold(KfoldConfig())
    assert splitter.folds(turned, n_folds=5, seed=1) == splitter.folds(data, n_folds=5, seed=1)


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.01, 1), (0.1, 2), (0.5, 9)])
def test_validation_is_a_share_of_the_training_labels(
    data: PerturbationData, fraction: float, expected: int
) -> None:
    n_labels = len(data.perturbations)
    for fold in Kfold(KfoldConfig(val_fraction=fraction)).folds(data, n_folds=4, seed=3):
        n_known = n_labels - len(fold.test)
        assert n_known == 18
        assert (len(fold.val), len(fold.train)) == (expected, n_known - expected)


def test_a_training_set_of_two_keeps_both() -> None:
    data = toy_data(ToyShape(n_singles=3, n_doubles=0))
    for fold in Kfold(KfoldConfig()).folds(data, n_folds=3, seed=0):
        assert (len(fold.train), len(fold.val), len(fold.test)) == (2, 0, 1)


def test_folds_draw_their_validation_labels_independently(data: PerturbationData) -> None:
    folds = Kfold(KfoldConfig(val_fraction=0.3)).folds(data, n_folds=5, seed=0)
    assert len({fold.val for fold in folds}) == len(folds)


def test_subgroups_count_the_genes_that_training_has(data: PerturbationData) -> None:
    genes = {item.label: item.genes for item in data.perturbations}
    n_checked = 0
    for fold in Kfold(KfoldConfig()).folds(data, n_folds=5, seed=42):
        seen = {gene for label in (*fold.train, *fold.val) for gene in genes[label]}
        for name, labels in fold.subgroups.items():
            for label in labels:
                count = sum(gene in seen for gene in genes[label])
                is_single = len(genes[label]) == 1
                single = "seen_single" if count else "unseen_single"
                assert name == (single if is_single else f"combo_seen{count}")
                n_checked += 1
    assert n_checked == len(data.perturbations)


def test_more_folds_than_perturbations_is_refused_and_the_fix_is_named() -> None:
    data = toy_data(ToyShape(n_singles=4, n_doubles=0))
    with pytest.raises(SplitError, match=r"4 perturbation.*7 folds.*pass --folds 4 or fewer"):
        Kfold(KfoldConfig()).folds(data, n_folds=7, seed=0)


def test_one_perturbation_is_refused_without_a_fix_that_is_none() -> None:
    data = toy_data(ToyShape(n_singles=4, n_doubles=1))
    with pytest.raises(SplitError, match=r"1 combination.*2 folds.*it takes 2 or more$"):
        Kfold(KfoldConfig(hold_out="combinations")).folds(data, n_folds=2, seed=0)


def test_one_fold_is_refused(data: PerturbationData) -> None:
    with pytest.raises(SplitError, match="at least 2 folds, got 1"):
        Kfold(KfoldConfig()).folds(data, n_folds=1, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(data: PerturbationData, seed: int) -> None:
    with pytest.raises(SplitError, match=f"seed {seed} is not allowed"):
        make_split(SPEC, Kfold(KfoldConfig()), data, n_folds=5, seed=seed)


def test_another_seed_gives_another_manifest(data: PerturbationData) -> None:
    splitter = Kfold(KfoldConfig())
    hashes = {
        split_sha256(make_split(SPEC, splitter, data, n_folds=5, seed=seed)) for seed in range(4)
    }
    assert len(hashes) == 4


def test_requiring_go_leaves_out_perturbations_of_genes_without_annotation(
    data: PerturbationData,
) -> None:
    first = data.perturbations[0]
    genes = (*first.genes, "NOSUCHGENE1")
    unknown = replace(first, label="NOSUCHGENE1+" + first.label, genes=tuple(sorted(genes)))
    conditions = tuple(
        replace(item, perturbation=unknown) if item.perturbation == first else item
        for item in data.conditions
    )
    changed = replace(data, conditions=tuple(sorted(conditions)))
    every = Kfold(KfoldConfig()).folds(changed, n_folds=3, seed=0)
    annotated = Kfold(KfoldConfig(require_gene_in="go")).folds(changed, n_folds=3, seed=0)
    assert {x for fold in every for x in fold.test} - {x for f in annotated for x in f.test} == {
        unknown.label
    }


@pytest.mark.shared_data
def test_requiring_go_keeps_about_what_gears_keeps_of_k562(
    shared_data: Path, data: PerturbationData
) -> None:
    table = shared_data / "gears" / "replogle_k562_functional_classes_go_improved.tsv"
    rows = table.read_text().splitlines()[1:]
    genes = sorted({row.split("\t")[0] for row in rows} - {"ctrl"})
    conditions = tuple(Condition(Perturbation(f"{gene}+ctrl", (gene,)), "K562") for gene in genes)
    k562 = replace(data, conditions=conditions)
    folds = Kfold(KfoldConfig(require_gene_in="go")).folds(k562, n_folds=5, seed=42)
    # GEARS' own gene2go keeps 1,087 of the 1,092; its GO release is another.
    assert (len(genes), sum(len(fold.test) for fold in folds)) == (1092, 1086)


def test_holding_out_combinations_keeps_every_single_in_train() -> None:
    data = toy_data()
    splitter = Kfold(KfoldConfig(hold_out="combinations"))
    folds = splitter.folds(data, n_folds=3, seed=42)
    singles = {item.label for item in data.perturbations if len(item.genes) == 1}
    doubles = {item.label for item in data.perturbations if len(item.genes) == 2}
    assert sorted(label for fold in folds for label in fold.test) == sorted(doubles)
    for fold in folds:
        assert singles <= set(fold.train)
        assert set(fold.val) <= doubles
        assert set(fold.subgroups) == {"combo_seen2"}
        assert set(fold.train) | set(fold.val) | set(fold.test) == singles | doubles


def test_holding_out_combinations_says_how_many_there_are() -> None:
    with pytest.raises(SplitError, match=r"cannot cut 6 combination\(s\)"):
        Kfold(KfoldConfig(hold_out="combinations")).folds(toy_data(), n_folds=7, seed=42)
