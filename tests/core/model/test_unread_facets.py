"""What ``explain`` says of genes whose facets a model does not read."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from dygenept.model.estimator import DyGenePTModel
from dygenept.model.training.options import TrainingOptions
from dygenept.runs.explain import FacetWeight, GeneExplanation, explain_conditions
from dygenept.runs.predict import unknown_targets
from dygenept.types import Task
from dygenept_cli.views.predictions import OF_ATTENTION, show_contribution, show_facet_weights

pytestmark = pytest.mark.usefixtures("few_tuning_steps")
START = TrainingOptions(
    target="pseudobulk", warm_start=True, epochs=0, patience=0, n_prediction_cells=4
)


# By identity share; each test gets a copy.
FITTED: dict[float, DyGenePTModel] = {}


def fitted(make_model, make_parts, task: Task, share: float) -> DyGenePTModel:  # type: ignore[no-untyped-def]
    if share not in FITTED:
        FITTED[share] = make_model(START, parts=make_parts(identity_share=share))
        FITTED[share].fit(task)
    return copy.deepcopy(FITTED[share])


def test_where_a_genes_own_code_is_all_that_is_read_no_weight_is_given(
    make_model, make_parts, task: Task
) -> None:
    model = fitted(make_model, make_parts, task, 1.0)
    found = explain_conditions(model, "m", task.known)
    assert found.genes
    for gene in found.genes:
        assert gene.not_read is not None
        assert "its own code (identity share 1)" in gene.not_read
        assert [of.weight for of in gene.facets] == [None] * 8
        assert any(of.confidence > 0 for of in gene.facets)


def test_of_a_gene_of_which_nothing_is_read_that_is_said(
    make_model, make_parts, task: Task
) -> None:
    model = fitted(make_model, make_parts, task, 1.0)
    one = task.known[0]
    places = [model.state.target_genes.index(gene) for gene in one.genes]
    for network in model.networks:
        kept = [at for at in range(len(model.state.target_genes)) if at not in places]
        network.gene_encoder.read_codes_of(torch.tensor(kept))
    found = explain_conditions(model, "m", [one])
    assert {gene.not_read for gene in found.genes} == {
        "nothing at all is read of it: it gets the typical change"
    }


@pytest.mark.parametrize(
    ("chosen", "is_read"),
    [
        (({"identity_share": 0.5, "knowledge_share": 0.2},), True),
        (({"identity_share": 0.5, "knowledge_share": 0.0004},), False),
        (({"identity_share": 1.0}, {"identity_share": 1.0}), False),
        (({"identity_share": 1.0}, {"identity_share": 0.9, "knowledge_share": 0.1}), True),
        # The second was not started in closed form, so that it has no such share.
        (({"identity_share": 1.0}, {"epochs_kept": 3, "knowledge_share": 0.2}), True),
        (({"knowledge_share": 0.0}, {"knowledge_share": 0.3}), True),
        # Own codes alone, by an attention that was tuned to which facets are known.
        (({"identity_share": 1.0, "knowledge_share": 0.7},), True),
        (({"identity_share": 1.0, "knowledge_share": 0.0},), False),
        (({"knowledge_share": 0.0}, {"epochs_kept": 3}), True),
        (({},), True),
        ((), True),
    ],
)
def test_facets_count_as_unread_where_no_member_reads_them(
    make_model, make_parts, task: Task, chosen: tuple[dict[str, float], ...], *, is_read: bool
) -> None:
    model = fitted(make_model, make_parts, task, 0.5)
    model._state = replace(model.state, chosen=chosen)
    found = explain_conditions(model, "m", task.known)
    assert {gene.not_read is None for gene in found.genes} == {is_read}
    for gene in found.genes:
        assert all((of.weight is not None) == is_read for of in gene.facets)
        if is_read:
            assert sum(of.weight or 0.0 for of in gene.facets) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("chosen", "instead"),
    [
        (({"identity_share": 1.0},), "a code of its own"),
        (({"identity_share": 1.0}, {"identity_share": 1.0}), "a code of its own"),
        (({"identity_share": 1.0}, {"epochs_kept": 3}), "the learned null embedding"),
        ((), "the learned null embedding"),
    ],
)
def test_what_stands_in_for_an_unknown_gene_is_said_of_ensembles_too(
    make_model, make_parts, task: Task, chosen: tuple[dict[str, float], ...], instead: str
) -> None:
    model = fitted(make_model, make_parts, task, 0.5)
    knowledge = replace(model.state.knowledge, confidence=0.0 * model.state.knowledge.confidence)
    model._state = replace(model.state, chosen=chosen, knowledge=knowledge)
    notes = unknown_targets(model, task.known)
    assert notes
    assert all(f"; {instead} is used instead" in note for note in notes)


def test_a_table_of_weights_leaves_out_what_is_not_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = GeneExplanation("A+B", "K562", "A", True, (FacetWeight("Pathway", 0.75, 1.0),))
    unread = GeneExplanation("A+B", "K562", "B", True, (FacetWeight("Pathway", None, 1.0),), "why")
    show_facet_weights("model", [read, unread])
    shown = capsys.readouterr()
    assert "0.750" in shown.out
    assert "B in" not in shown.out
    assert "there is no attention to show for B: why" in shown.err
    show_facet_weights("model", [unread])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("has_attention", [True, False])
def test_how_far_attention_moves_is_told_only_where_there_is_any(
    capsys: pytest.CaptureFixture[str], *, has_attention: bool
) -> None:
    show_contribution(
        {"attention_moved_by_cells": 0.25, "prediction_moved_by_cells": 0.5},
        leave_out=() if has_attention else OF_ATTENTION,
    )
    said = capsys.readouterr().err
    assert ("of the attention moves" in said) == has_attention
    assert "of the prediction's variance is between cells" in said
