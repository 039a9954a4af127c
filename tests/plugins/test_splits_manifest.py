from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dygenept.data.splits import make_split, save_split
from dygenept.errors import SplitError
from dygenept.testing.split_checks import check_split as check_conformance
from dygenept.testing.toy import ToyShape, toy_data, toy_fold
from dygenept.types import Fold, PerturbationData
from dygenept_plugins.splits.cross_cell_type import CrossCellType, HeldOutTypesConfig
from dygenept_plugins.splits.kfold import Kfold, KfoldConfig
from dygenept_plugins.splits.kfold import dygenept_splits as kfold_splits
from dygenept_plugins.splits.manifest import Manifest, ManifestConfig, dygenept_splits


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data()


def written(folder: Path, document: object) -> Path:
    path = folder / "mine.json"
    path.write_text(json.dumps(document))
    return path


def read(path: Path, data: PerturbationData) -> tuple[Fold, ...]:
    return Manifest(ManifestConfig(path=path)).folds(data, n_folds=5, seed=1)


def test_manifest_conforms(tmp_path: Path) -> None:
    data = toy_data(ToyShape(n_singles=12, n_doubles=12, n_cell_types=2))
    fold = toy_fold(data)
    document = {"train": fold.train, "val": fold.val, "test": fold.test}
    path = written(tmp_path, document)
    check_conformance(dygenept_splits()[0], options={"path": str(path)}, data=data)


def test_labels_of_ones_own_make_one_fold(tmp_path: Path, data: PerturbationData) -> None:
    fold = toy_fold(data)
    (found,) = read(
        written(tmp_path, {"train": fold.train, "val": fold.val, "test": fold.test}), data
    )
    assert (found.train, found.val, found.test) == tuple(
        tuple(sorted(labels)) for labels in (fold.train, fold.val, fold.test)
    )
    assert {label for labels in found.subgroups.values() for label in labels} == set(fold.test)


def test_any_spelling_of_a_perturbation_is_accepted(tmp_path: Path, data: PerturbationData) -> None:
    first, second = [item for item in data.perturbations if len(item.genes) == 2][:2]
    single = next(item for item in data.perturbations if len(item.genes) == 1)
    document = {
        "train": ["ctrl", "+".join(reversed(first.label.split("+")))],
        "test": [single.genes[0], second.label],
    }
    (fold,) = read(written(tmp_path, document), data)
    assert fold.train == (first.label,)
    assert fold.test == tuple(sorted((single.label, second.label)))


def test_a_saved_split_gives_the_same_folds(tmp_path: Path, data: PerturbationData) -> None:
    splitter = Kfold(KfoldConfig())
    split = make_split(kfold_splits()[0], splitter, data, n_folds=3, seed=5)
    folds = read(save_split(split, tmp_path), data)
    assert [set(fold.test) for fold in folds] == [set(fold.test) for fold in split.folds]
    assert [fold.subgroups for fold in folds] == [fold.subgroups for fold in split.folds]


def test_a_saved_split_of_other_cells_is_refused(tmp_path: Path, data: PerturbationData) -> None:
    split = make_split(kfold_splits()[0], Kfold(KfoldConfig()), data, n_folds=3, seed=5)
    path = save_split(replace(split, dataset_sha256="f" * 64), tmp_path)
    with pytest.raises(SplitError, match="made for the data set ffffffffffff"):
        read(path, data)


def test_a_held_out_cell_type_is_kept(tmp_path: Path) -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    fold = CrossCellType(HeldOutTypesConfig()).folds(data, n_folds=2, seed=0)[0]
    document = {"train": fold.train, "test": fold.test, "test_cell_type": fold.test_cell_type}
    (found,) = read(written(tmp_path, document), data)
    assert found.test_cell_type == fold.test_cell_type


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"train": ["KLF1+ctrl"], "tset": []}, "unknown key 'tset'; did you mean 'test'"),
        ({"train": ["KLF1+ctrl"], "test": ["KLF2+ctrl"]}, "names 'KLF2.ctrl'.*did you mean"),
        ({"train": ["KLF1+ctrl"], "test": ["ctrl+KLF1"]}, "in both train and test"),
        ({"train": [], "test": ["KLF1+ctrl"]}, "no train perturbation"),
        ({"train": ["KLF1+ctrl"]}, "no test perturbation"),
        (["KLF1+ctrl"], "document"),
    ],
)
def test_a_bad_manifest_is_refused_in_one_line(
    tmp_path: Path, data: PerturbationData, document: object, message: str
) -> None:
    with pytest.raises(SplitError, match=message) as caught:
        read(written(tmp_path, document), data)
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_refused(tmp_path: Path, data: PerturbationData) -> None:
    with pytest.raises(SplitError, match="cannot read split manifest"):
        read(tmp_path / "none.json", data)
    broken = tmp_path / "broken.json"
    broken.write_text('{"train": [')
    with pytest.raises(SplitError, match="cannot read split manifest"):
        read(broken, data)
