"""What the split protocols say and carry beside the labels that they draw."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import dygenept_plugins.splits
from dygenept.data.reading.labels import parse_labels
from dygenept.errors import SplitError
from dygenept.plugin.specs import SplitSpec
from dygenept.types import Condition, Fold, PerturbationData
from dygenept_plugins.splits import _gears_draws

SINGLES = tuple(f"G{number:02d}+ctrl" for number in range(30))
PAIRS = tuple(f"G{i:02d}+G{j:02d}" for i in range(12) for j in range(i + 1, 12))


def specs() -> dict[str, SplitSpec]:
    found: dict[str, SplitSpec] = {}
    for module in pkgutil.iter_modules(dygenept_plugins.splits.__path__):
        hook = getattr(
            importlib.import_module(f"dygenept_plugins.splits.{module.name}"),
            "dygenept_splits",
            None,
        )
        found |= {spec.name: spec for spec in (hook() if hook else ())}
    return found


SPECS = specs()
GEARS = sorted(name for name in SPECS if name.startswith("gears_"))


def data_of(labels: Sequence[str], cell_types: Sequence[str] = ("cell",)) -> PerturbationData:
    """One empty cell per label and cell type, in order, after one control cell."""
    parsed = parse_labels(("ctrl", *labels)).perturbations
    named = {raw: item for raw, item in parsed.items() if item is not None}
    conditions = tuple(
        sorted(Condition(item, kind) for item in set(named.values()) for kind in cell_types)
    )
    codes = [-1] + [
        conditions.index(Condition(named[raw], kind)) for raw in labels for kind in cell_types
    ]
    types = [0] + [number for _ in labels for number in range(len(cell_types))]
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
        cell_types=tuple(cell_types),
        cell_type_codes=np.asarray(types, dtype=np.int32),
        raw_labels=tuple(labels),
        raw_to_label={raw: item.label for raw, item in named.items()},
    )


def folds_of(name: str, data: PerturbationData, seed: int = 1) -> tuple[Fold, ...]:
    spec = SPECS[name]
    return spec.factory(spec.config()).folds(data, n_folds=3, seed=seed)


def test_there_are_seven_gears_protocols() -> None:
    assert len(GEARS) == 7


@pytest.mark.parametrize("name", GEARS)
def test_a_gears_protocol_names_itself_where_it_refuses(name: str) -> None:
    with pytest.raises(SplitError, match=rf"^{name} is defined for one or two genes"):
        folds_of(name, data_of(("A+ctrl", "A+B+C")))


def test_a_gears_protocol_that_leaves_nothing_to_train_on_says_so() -> None:
    expected = r"^gears_simulation_single with seed 1 leaves nothing to train on; use another"
    with pytest.raises(SplitError, match=expected):
        folds_of("gears_simulation_single", data_of(("A+ctrl",)))


def test_held_out_singles_of_simulation_single_are_unseen() -> None:
    (fold,) = folds_of("gears_simulation_single", data_of(SINGLES))
    assert fold.subgroups == {"unseen_single": fold.test}
    assert len(fold.test) == 30 - 22


@pytest.mark.parametrize("n_seen", [0, 1, 2])
def test_combination_protocols_sort_test_by_what_train_and_validation_have(n_seen: int) -> None:
    (fold,) = folds_of(f"gears_combo_seen{n_seen}", data_of((*SINGLES, *PAIRS)))
    known = {gene for label in (*fold.train, *fold.val) for gene in label.split("+")}
    expected: dict[str, list[str]] = {}
    for label in sorted(fold.test):
        genes = [gene for gene in label.split("+") if gene != "ctrl"]
        n_known = sum(gene in known for gene in genes)
        single = "seen_single" if n_known else "unseen_single"
        name = single if len(genes) == 1 else f"combo_seen{n_known}"
        expected.setdefault(name, []).append(label)
    assert {name: list(labels) for name, labels in fold.subgroups.items()} == expected


def test_a_combination_of_a_known_gene_alone_counts_it_as_seen() -> None:
    # Validation alone has a gene of test in some seed: train and validation both count as known.
    for seed in range(40):
        (fold,) = folds_of("gears_combo_seen2", data_of((*SINGLES[12:], *PAIRS)), seed)
        of_train = {gene for label in fold.train for gene in label.split("+")}
        of_val = {gene for label in fold.val for gene in label.split("+")} - of_train
        touched = [label for label in fold.test if set(label.split("+")) & of_val]
        for label in touched:
            n_known = sum(gene in of_train | of_val for gene in label.split("+"))
            assert label in fold.subgroups[f"combo_seen{n_known}"]


def test_two_labels_cannot_be_cut_into_three_folds_but_into_two() -> None:
    with pytest.raises(SplitError, match="pass --folds 2 or fewer"):
        folds_of("kfold", data_of(SINGLES[:2]))


def test_kfold_cuts_labels_in_their_own_order() -> None:
    from sklearn.model_selection import KFold

    data = data_of((*PAIRS[:9], *SINGLES))
    labels = sorted(item.label for item in data.perturbations)
    cut = KFold(n_splits=3, shuffle=True, random_state=1).split(labels)
    for fold, (_, test) in zip(folds_of("kfold", data), cut, strict=True):
        assert fold.test == tuple(labels[position] for position in test)


def test_simulation_single_carries_the_subgroups_of_its_own_draw() -> None:
    raw = _gears_draws.simulation_single(SINGLES, seed=1)
    assert raw.subgroups == {"unseen_single": raw.test}


def test_subgroups_of_a_manifest_are_read_in_any_spelling(tmp_path: Path) -> None:
    data = data_of(("A+ctrl", "B+ctrl", "A+B"))
    path = tmp_path / "mine.json"
    document = {
        "train": ["A"],
        "val": ["ctrl"],
        "test": ["B", "B+A"],
        "subgroups": {"mine": ["B+A"], "rest": ["ctrl+B"]},
    }
    path.write_text(json.dumps(document))
    spec = SPECS["manifest"]
    (fold,) = spec.factory(spec.config(path=path)).folds(data, n_folds=3, seed=1)
    assert (fold.train, fold.val, fold.test) == (("A+ctrl",), (), ("A+B", "B+ctrl"))
    assert fold.subgroups == {"mine": ("A+B",), "rest": ("B+ctrl",)}


def test_a_label_that_the_data_set_lacks_is_named_with_file_and_nearest(tmp_path: Path) -> None:
    data = data_of(("AAAA+ctrl", "BBBB+ctrl"))
    path = tmp_path / "mine.json"
    spec = SPECS["manifest"]
    splitter = spec.factory(spec.config(path=path))
    for label, hint in (("AAA+ctrl", "did you mean 'AAAA+ctrl'?"), ("?", "remove it")):
        path.write_text(json.dumps({"train": [label], "test": ["BBBB"]}))
        with pytest.raises(SplitError) as caught:
            splitter.folds(data, n_folds=3, seed=1)
        message = str(caught.value)
        assert message.startswith(str(path))
        assert repr(label) in message
        assert message.endswith(hint)
