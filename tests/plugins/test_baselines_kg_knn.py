"""``kg_knn`` against neighbours found by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.knowledge.graph.links import links_of
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept_plugins.baselines.kg_knn import KgKnn, KgKnnConfig


@pytest.mark.parametrize("n_neighbors", [1, 2])
def test_kg_knn_averages_the_most_alike_train_perturbations(n_neighbors: int) -> None:
    data = toy_data(ToyShape(n_singles=6, n_doubles=0, n_cell_types=1))
    task, held_out = toy_task(data)
    model = KgKnn(KgKnnConfig(graph="go", n_neighbors=n_neighbors))
    model.fit(task)
    found = model.predict(held_out).expression
    known = [item.genes[0] for item in task.known]
    links = links_of("go", known)
    for row, condition in enumerate(held_out):
        cosines = (links @ links_of("go", condition.genes).T).toarray().ravel()
        nearest = np.argsort(-cosines)[:n_neighbors]
        np.testing.assert_allclose(found[row], task.means[nearest].mean(axis=0))


def test_kg_knn_predicts_a_gene_without_links_as_the_mean() -> None:
    from dygenept.types import Condition, Perturbation

    task, _ = toy_task(toy_data(ToyShape(n_cell_types=1)))
    model = KgKnn(KgKnnConfig())
    model.fit(task)
    stranger = Condition(Perturbation("NOSUCH", ("NOSUCH",)), task.cell_types[0])
    np.testing.assert_allclose(model.predict((stranger,)).expression[0], task.means.mean(axis=0))
    assert model.chosen["n_neighbors"] >= 1
