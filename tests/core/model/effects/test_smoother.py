from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from dygenept.data.effects.filling import effects_as_means, filled_task
from dygenept.data.effects.reading import read_effects
from dygenept.data.task import Access, build_task
from dygenept.errors import DataError
from dygenept.knowledge.likeness import Likeness
from dygenept.model.effects.smoother import EffectSmoother
from dygenept.testing.toy import toy_data, toy_task
from dygenept.types import Condition, Fold, Perturbation, Runtime, Task

N_MODULES = 3
PERTURBED = tuple(
    f"MED{number}" for number in (1, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
)


def module_of(gene: str) -> int:
    return sum(map(ord, gene)) % N_MODULES


def alike(genes: Sequence[str], task: Task) -> Likeness:
    """Genes of one module are alike, and no others."""
    codes = np.eye(N_MODULES, dtype=np.float32)[[module_of(gene) for gene in genes]]
    return Likeness(tuple(genes), {"string": (sparse.csr_matrix(codes),)})


def screen(
    tmp_path: Path,
    *,
    cell_types: Sequence[str] = ("K562",),
    value_of: Callable[[bool], int] = int,
    more: Sequence[str] = (),
) -> tuple[Task, tuple[Condition, ...]]:
    """Perturbations of a module raise its own genes; 30 % of pairs are missing."""
    rng = np.random.default_rng(1)
    genes = [f"GENE{number}" for number in range(18)]
    lines = [
        f"{pert},{gene},{value_of(module_of(pert) == module_of(gene))},{cell_type}"
        for pert in PERTURBED
        for gene in genes
        for cell_type in cell_types
        if rng.random() < 0.7
    ]
    path = tmp_path / "t.csv"
    path.write_text("pert,gene,value,cell_type\n" + "\n".join((*lines, *more)) + "\n")
    data = read_effects(path)
    assert data.effects is not None
    means, de = effects_as_means(data.effects, data)
    labels = [item.label for item in data.perturbations]
    fold = Fold(train=tuple(labels[3:]), val=(), test=tuple(labels[:3]))
    task, held_out = build_task(data, means, de, fold, access=Access(), runtime=Runtime())
    return filled_task(task, data), held_out


@pytest.mark.parametrize("cell_types", [("K562",), ("K562", "RPE1")])
def test_like_perturbations_do_alike(tmp_path: Path, cell_types: Sequence[str]) -> None:
    task, held_out = screen(tmp_path, cell_types=cell_types)
    model = EffectSmoother(alike)
    model.fit(task)
    predicted = model.predict(held_out).expression
    for row, condition in enumerate(held_out):
        raised = np.array(
            [module_of(gene) == module_of(condition.label) for gene in task.gene_symbols]
        )
        assert predicted[row, raised].min() > predicted[row, ~raised].max()
    assert set(model.chosen) >= {"sources", "power", "penalty", "mixing over output genes"}


def test_a_gene_that_is_like_no_other_is_predicted_as_the_genes_means(tmp_path: Path) -> None:
    task, held_out = screen(tmp_path)
    model = EffectSmoother(
        lambda genes, task: Likeness(
            tuple(genes), {"identity": (sparse.identity(len(genes), format="csr"),)}
        )
    )
    model.fit(task)
    assert task.effects is not None
    expected = np.repeat(task.effects.gene_means, len(held_out), axis=0)
    np.testing.assert_allclose(model.predict(held_out).expression, expected)
    stranger = Condition(Perturbation("NEVERSEEN", ("NEVERSEEN",)), "K562")
    assert np.isfinite(model.predict((stranger,)).expression).all()


def test_signs_of_which_none_is_zero_have_no_left_out_error(tmp_path: Path) -> None:
    def sign(is_raised: bool) -> int:
        return 1 if is_raised else -1

    # The only pair that is unchanged is held out: among the others no size is larger than another.
    task, held_out = screen(tmp_path, value_of=sign, more=["MED1,OTHER,0,K562"])
    assert task.effects is not None
    assert task.effects.kind == "signs"
    model = EffectSmoother(alike)
    model.fit(task)
    assert "left-out error" not in model.chosen
    assert np.isfinite(model.predict(held_out).expression).all()
    labels, _ = screen(tmp_path)
    model.fit(labels)
    assert 0 <= float(model.chosen["left-out error"]) < 0.1


def test_a_task_of_cells_is_refused() -> None:
    task, _ = toy_task(toy_data())
    with pytest.raises(DataError, match="tables of effects"):
        EffectSmoother(alike).fit(task)
