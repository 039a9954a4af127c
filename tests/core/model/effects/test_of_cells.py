"""Changes that a model of cells predicts, as predictions of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dygenept.data.effects.filling import effects_as_means, filled_task
from dygenept.data.effects.reading import read_effects
from dygenept.data.task import Access, build_task
from dygenept.errors import DataError
from dygenept.model.effects.of_cells import ChangesOnTable
from dygenept.testing import toy_task
from dygenept.types import Condition, DoubleArray, Fold, Runtime, Task

GENES = ("GENE1", "GENE2", "GENE3")
PERTURBED = tuple(f"MED{number}" for number in (1, 4, 6, 7, 8, 9, 10, 11, 12, 13))
# One change per perturbation and gene, in the order of a model that lacks the second gene.
CHANGE = dict(zip(PERTURBED, np.random.default_rng(0).normal(size=(10, 2)), strict=True))
COLUMNS = np.array([1, -1, 0])


def changes(conditions: Sequence[Condition]) -> DoubleArray:
    return np.stack([CHANGE[item.genes[0]] for item in conditions])


def task_of(tmp_path: Path, column: str) -> tuple[Task, tuple[Condition, ...]]:
    """A table of what the model predicts: its direction, its significance, or twice its size."""
    lines = []
    for pert in PERTURBED:
        for gene, place in zip(GENES, COLUMNS, strict=True):
            change = 0.0 if place < 0 else float(CHANGE[pert][place])
            value = {
                "up": int(change > 0),
                "significant": int(abs(change) > 0.6),
                "value": 2.0 * change,
            }[column]
            lines.append(f"{pert},{gene},{value}")
    name = "value" if column == "value" else "label"
    path = tmp_path / f"{column}.csv"
    path.write_text(f"pert,gene,{name}\n" + "\n".join(lines) + "\n")
    data = read_effects(path)
    assert data.effects is not None
    means, de = effects_as_means(data.effects, data)
    labels = [item.label for item in data.perturbations]
    fold = Fold(train=tuple(labels[2:]), val=(), test=tuple(labels[:2]))
    task, held_out = build_task(data, means, de, fold, access=Access(), runtime=Runtime())
    return filled_task(task, data), held_out


@pytest.mark.parametrize(
    ("column", "unit", "scale"),
    [("up", "change", 1.0), ("significant", "size", 1.0), ("value", "change", 2.0)],
)
def test_the_unit_is_chosen_by_train_pairs(
    tmp_path: Path, column: str, unit: str, scale: float
) -> None:
    task, held_out = task_of(tmp_path, column)
    model = ChangesOnTable(changes, COLUMNS)
    model.fit(task)
    assert model.chosen["unit"] == unit
    assert model.chosen["scale"] == pytest.approx(scale)
    found = model.predict(held_out)
    expected = changes(held_out)[:, [1, 0]]
    if unit == "size":
        expected = np.abs(expected)
    np.testing.assert_allclose(found.expression[:, [0, 2]], scale * expected)
    # The gene that the model lacks does not change, and is counted.
    assert not found.expression[:, 1].any()
    assert model.notes[0].startswith("1 of 3 genes")


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    task, held_out = task_of(tmp_path, "up")
    with pytest.raises(DataError, match="not fitted"):
        ChangesOnTable(changes, COLUMNS).predict(held_out)
    with pytest.raises(DataError, match="none of the table's genes"):
        ChangesOnTable(changes, np.full(3, -1)).fit(task)
    with pytest.raises(DataError, match="has cells"):
        ChangesOnTable(changes, COLUMNS).fit(toy_task()[0])
