"""What a model predicts, and which facets it relies on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dygenept.machine.plain_text import brief, fixed, printable
from dygenept_cli import console

if TYPE_CHECKING:
    import polars as pl

    from dygenept.model.effects.explanation import StartExplanation
    from dygenept.runs.explain import GeneExplanation
    from dygenept.runs.ranking import Ranking
    from dygenept.types.effects import EffectKind

TOP_GENES = 20


# What a prediction is, by what a table of effects has; None for expression.
PREDICTED = {
    None: "mean log1p expression",
    "labels": "probabilities of label 1; gene_mean is that of the train perturbations",
    "signs": "signs between -1 and 1; gene_mean is that of the train perturbations",
    "values": "the table's own units; gene_mean is that of the train perturbations",
}


def show_strongest(table: pl.DataFrame, kind: EffectKind | None = None) -> None:
    """Print the largest predicted changes of each perturbation and cell type.

    Args:
        table: Long: perturbation, cell_type, gene_id, gene, control (gene_mean of a table of
            effects), predicted, delta, predicted_sd.
        kind: What the values of a table of effects are; None for expression.
    """
    import polars as pl
    from rich.table import Table

    from dygenept.types import in_cell_type

    screen = console.stdout()
    for (label, cell_type), part in table.group_by(
        ["perturbation", "cell_type"], maintain_order=True
    ):
        heading = printable(f"{label}{in_cell_type(str(cell_type))}")
        shown = Table(title=f"{heading}: the {TOP_GENES} largest predicted changes")
        reference = "control" if kind is None else "gene_mean"
        for name in ("gene", "gene_id", reference, "predicted", "delta"):
            shown.add_column(name, justify="left" if name in ("gene", "gene_id") else "right")
        for row in part.sort(pl.col("delta").abs(), descending=True).head(TOP_GENES).to_dicts():
            expression = (fixed(row[name], 3) for name in (reference, "predicted"))
            names = (printable(row[name]) for name in ("gene", "gene_id"))
            error = "" if row["predicted_sd"] is None else f" ± {fixed(row['predicted_sd'], 3)}"
            shown.add_row(*names, *expression, fixed(row["delta"], 3, signed=True) + error)
        screen.print(shown)
    expected = ", ± the standard deviation of the error that the model expects, where it says"
    console.note(
        f"{PREDICTED[kind]}{expected if kind is None else ''}; --output FILE writes every gene"
    )


def show_ranking(found: Ranking) -> None:
    """Print perturbations by closeness, with the uncertainty of each figure where there is one."""
    from rich.table import Table

    from dygenept.types import in_cell_type

    where = printable(in_cell_type(str(found.table["cell_type"][0])))
    table = Table(title=f"{found.n_candidates:,} candidates{where}", title_justify="left")
    for name in ("rank", "perturbation", "correlation", "distance", "first"):
        table.add_column(name, justify="left" if name == "perturbation" else "right")
    for row in found.table.to_dicts():
        figures = (
            _with_error(row[name], row[f"{name}_sd"]) for name in ("correlation", "distance")
        )
        share = row["share_first"]
        first = "" if share is None else f"{share:.0%}"
        table.add_row(str(row["rank"]), printable(row["perturbation"]), *figures, first)
    console.stdout().print(table)
    console.note(
        f"closeness over {found.n_genes:,} genes, ± one standard deviation under the model's own "
        "uncertainty; first: how often a perturbation is the closest of these"
    )


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return "undefined"
    return fixed(value, 3) if error is None else f"{fixed(value, 3)} ± {fixed(error, 3)}"


def show_facet_weights(model: str, explained: Sequence[GeneExplanation]) -> None:
    """Print attention weights: one row per facet, one column per target gene whose facets are read.

    Args:
        model: The model's name.
        explained: Explanations of the same facets, at least one.
    """
    for item in explained:
        if not item.is_known and item.not_read is None:
            console.note(f"note: nothing is known of {item.gene}; the null gene stands in for it")
    for gene, why in dict.fromkeys((item.gene, item.not_read) for item in explained):
        if why is not None:
            console.note(f"note: there is no attention to show for {gene}: {why}")
    read = [item for item in explained if item.not_read is None]
    if read:
        _show_weights(model, read)


def _show_weights(model: str, explained: Sequence[GeneExplanation]) -> None:
    from rich.table import Table
    from rich.text import Text

    from dygenept.types import in_cell_type

    table = Table()
    table.add_column("facet", no_wrap=True)
    for item in explained:
        head = printable(f"{item.gene} in {item.perturbation}")
        where = f"\n{printable(item.cell_type)}" if in_cell_type(item.cell_type) else ""
        table.add_column(Text(head + where), justify="right", overflow="fold")
    for row, facet in enumerate(item.facet for item in explained[0].facets):
        weights = [item.facets[row] for item in explained]
        cells = (f"{of.weight or 0.0:.3f}" if of.confidence > 0 else "unknown" for of in weights)
        table.add_row(facet, *cells)
    console.stdout().print(Text(f"{model}: attention weights over facets"), table)
    console.note("mean over control cells, heads and ensemble members; a gene's weights sum to 1")


def show_starts(model: str, explained: Sequence[StartExplanation], *, has_attention: bool) -> None:
    """Print which train perturbations each prediction of a table's model is drawn from.

    Args:
        model: The model's name.
        explained: Explanations, at least one.
        has_attention: False where nothing of the networks is added to the start.
    """
    from rich.table import Table
    from rich.text import Text

    from dygenept.types import in_cell_type

    if any(item.is_means_alone for item in explained):
        console.note(
            "each prediction starts from the genes' means, and what is added to them is what the "
            "networks learned"
            if has_attention
            else "no likeness to train perturbations is drawn on: every perturbation is predicted "
            "as the genes' means"
        )
    for item in explained:
        heading = printable(f"{item.perturbation}{in_cell_type(item.cell_type)}")
        if item.is_means_alone:
            continue
        if not item.shares:
            instead = "the start is" if has_attention else "predicted as"
            console.note(f"{heading}: like no train perturbation, {instead} the genes' means")
            continue
        table = Table()
        table.add_column("like train perturbation", overflow="fold")
        for name in ("likeness", *item.shares):
            table.add_column(name, justify="right")
        for of in item.neighbours:
            figures = (fixed(value, 3) for value in (of.likeness, *of.sources.values()))
            where = in_cell_type(of.cell_type) if of.cell_type != item.cell_type else ""
            table.add_row(printable(f"{of.perturbation}{where}"), *figures)
        shares = (fixed(value, 3) for value in item.shares.values())
        table.add_section()
        table.add_row("share of all", "1", *shares)
        title = f"{model}: what {heading} is drawn from"
        console.stdout().print(Text(title), table)
    shown = (
        fixed(value, 3)
        for item in explained
        for of in item.neighbours
        for value in of.sources.values()
    )
    if any(figure.startswith(("-", "−")) for figure in shown):
        console.note(
            "below 0: by this source the two are less alike than genes are on average; shares "
            "count what a source adds or takes away by its size"
        )
    if not has_attention:
        console.note("gradient steps are not added: no attention over facets has a part in it")


# What a record's ``chosen`` says of a DyGenePT model's parts, in words.
CONTRIBUTIONS = {
    "identity_share": "of what is read of a gene is its own code (identity)",
    "knowledge_share": "of what is predicted comes from facets: their texts, or which are known",
    "graph_share": "is its links in graphs",
    "share_changed_by_steps": "of the prediction's variance was changed by gradient steps; the "
    "rest was there before them",
    "share_reordered_by_steps": "of the comparisons of two perturbations within a gene, by which "
    "AUROC goes, came out otherwise with gradient steps",
    "attention_moved_by_cells": "of the attention moves with the cell's state",
    "prediction_moved_by_cells": "of the prediction's variance is between cells of one type",
    "typical_exponent": "is the power of its norm that a train change is divided by in the "
    "typical change: 1 counts weak and strong ones alike, 0 is the plain mean",
    "typical_by_type": "of the typical change is the cell type's own",
    "readout_by_type": "of the features' effect is the cell type's own",
}


# What it says of how gradient steps were judged.
JUDGEMENTS = {
    "held_out_score_of_start": "is the pearson_delta_top20 of train perturbations held out of the "
    "closed-form fit",
    "held_out_score_with_steps": "is that of the same perturbations with steps that have not seen "
    "them",
    "validation_error_of_start": "is the start's error on train perturbations that it has not "
    "seen: one less the mean AUROC over genes, of numbers the squared error in units of the mean's",
    "validation_error_with_steps": "is that of the same perturbations with steps, at best",
    "validation_error_from_closed_form": "is that of what would be kept of the closed-form start "
    "and its steps",
    "validation_error_from_means": "is that of steps from the genes' means",
    "standard_error_of_gain": "is the standard error of the gain, by which it is judged",
    "share_of_steps_added": "of what steps add is kept",
}


# Where a table's start compares perturbations, shares are of what it knows them by.
SHARES_OF_LIKENESS = {
    "identity_share": "of how alike perturbations are is their own code (identity)",
    "knowledge_share": "is their facets",
    "graph_share": "is their links in graphs",
}
# Of its choices, one that only such a start makes.
OF_TABLES = "mixing over output genes"


# What it says of attention alone.
OF_ATTENTION = ("attention_moved_by_cells",)


def show_contribution(
    contribution: Mapping[str, float | int | str], *, leave_out: Collection[str] = ()
) -> None:
    """Print how much each part of a model contributes; members of an ensemble by number.

    Args:
        contribution: What a record has under ``chosen``.
        leave_out: Parts that take no part in what is explained.
    """
    parts = CONTRIBUTIONS | (SHARES_OF_LIKENESS if OF_TABLES in contribution else {})
    for heading, words in (("contribution", parts), ("steps", JUDGEMENTS)):
        for name, value in contribution.items():
            part, _, member = name.partition(".")
            if part in words and part not in leave_out and isinstance(value, float):
                of = f" (member {member})" if member else ""
                console.note(f"{heading}{of}: {brief(value)} {words[part]}")
