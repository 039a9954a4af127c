"""A trained model that is open: perturbations in, AnnData out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.plugin.environment import Environment
from dygenept.runs.asked import asked_conditions
from dygenept.runs.explain import ModelExplanation, explain_conditions
from dygenept.runs.predict import unknown_targets, vocabulary_of
from dygenept.runs.ranking import Ranking, RankRequest, rank_perturbations
from dygenept.runs.saved_model import SavedModel, load_model
from dygenept.runs.sweep import Sweep, sweep_of, write_sweep
from dygenept.runs.wanted_state import WantedState, read_state
from dygenept.types import Progress, no_report

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata


class LoadedModel:
    """A model that ``dygenept train`` kept.

    Attributes:
        manifest: What it is and what it was trained on.
    """

    def __init__(self, directory: Path, environment: Environment, *, device: str) -> None:
        """Read a model's folder.

        Raises:
            DygeneptError: If the folder contains no model, or its parts' plugins are not installed.
        """
        self.manifest: SavedModel
        runtime = environment.runtime(device=device)
        self._model, self.manifest = load_model(directory, environment, runtime)

    def predict(
        self,
        perturbations: Sequence[str],
        *,
        cell_type: str | None = None,
        allow_unknown: bool = False,
    ) -> anndata.AnnData:
        """Predict mean expression after perturbations, or what a table measures of them.

        Args:
            perturbations: Such as ``KLF1`` or ``KLF1+MAPK1``.
            cell_type: Predict only in this cell type; None predicts in all.
            allow_unknown: Predict genes that nobody knows, as average genes.

        Returns:
            One row per perturbation and cell type. ``X`` is predicted expression, (n, G), mean
            log1p of normalised counts; ``layers`` has ``control`` and ``delta``; ``obs`` has
            ``perturbation`` and ``cell_type``; ``var`` has ``gene_name``; ``uns["notes"]`` says
            which names were read otherwise than written, and of which genes nothing is known.
            Of a model of a table of effects, ``X`` is the probability of label 1, or the table's
            signs or numbers (``uns["kind"]``), and ``gene_mean`` stands in place of ``control``.

        Raises:
            DataError: If a label names no gene or is control, a gene is known to nobody, or the
                cell type is unknown.
        """
        import anndata
        import pandas as pd

        outputs = self._model.outputs
        vocabulary = vocabulary_of(self._model, allow_unknown=allow_unknown)
        asked = asked_conditions(perturbations, vocabulary, cell_type)
        conditions = asked.conditions
        predicted = self._model.predict(conditions).expression  # (n, G)
        rows = [outputs.cell_types.index(condition.cell_type) for condition in conditions]
        compared = np.asarray(outputs.reference)[rows]  # (n, G)
        obs = pd.DataFrame(
            {
                "perturbation": [condition.label for condition in conditions],
                "cell_type": [condition.cell_type for condition in conditions],
            },
            index=[f"{condition.label}, {condition.cell_type}" for condition in conditions],
        )
        var = pd.DataFrame({"gene_name": list(outputs.gene_symbols)}, index=list(outputs.gene_ids))
        reference = "control" if outputs.kind is None else "gene_mean"
        layers = {reference: compared, "delta": predicted - compared}
        notes = [*asked.notes, *unknown_targets(self._model, conditions)]
        uns: dict[str, object] = {"notes": notes}
        if outputs.kind is not None:
            uns["kind"] = outputs.kind
        return anndata.AnnData(predicted, obs=obs, var=var, layers=layers, uns=uns)

    def explain(
        self,
        perturbations: Sequence[str],
        *,
        cell_type: str | None = None,
        allow_unknown: bool = False,
    ) -> ModelExplanation:
        """Explain what predictions rely on, and what the model's parts contribute.

        Args:
            perturbations: Such as ``KLF1`` or ``KLF1+MAPK1``.
            cell_type: Explain only in this cell type; None explains in all.
            allow_unknown: Take genes that nobody knows as average genes.

        Raises:
            DataError: As ``predict``.
        """
        vocabulary = vocabulary_of(self._model, allow_unknown=allow_unknown)
        conditions = asked_conditions(perturbations, vocabulary, cell_type).conditions
        return explain_conditions(self._model, self.manifest.model, conditions)

    def sweep(
        self,
        output: str | Path,
        genes: Sequence[str] | None = None,
        *,
        combinations: str = "singles",
        cell_type: str | None = None,
        spread: str | Path | None = None,
        report: Callable[[Progress], None] = no_report,
    ) -> int:
        """Predict every single perturbation or pair of a list of genes into a Parquet file.

        Args:
            output: The ``.parquet`` file; a row is a perturbation in a cell type, a column a gene.
            genes: Genes; None for the target genes of the training data.
            combinations: ``singles`` or ``pairs``.
            cell_type: Predict only in this cell type; None predicts in all.
            spread: A second ``.parquet`` file, for the standard deviation of each prediction's
                error; None leaves it out.
            report: Callback for progress.

        Returns:
            Rows written. Memory is that of a block of them.

        Raises:
            DataError: If a gene is refused, as in ``predict``.
            ResultsError: If the disk has not the room.
        """
        sweep = self._sweep(genes, combinations, cell_type)
        beside = None if spread is None else Path(spread)
        return write_sweep(self._model, sweep, Path(output), report, spread=beside)

    def rank(
        self,
        target: str | Path | Mapping[str, float] | WantedState,
        genes: Sequence[str] | None = None,
        *,
        combinations: str = "singles",
        cell_type: str | None = None,
        by: str = "correlation",
        top: int = 20,
    ) -> Ranking:
        """Rank perturbations by how close they are predicted to bring control cells to a state.

        Args:
            target: The wanted state: a table of a file, or mean log1p expression by gene. Give a
                ``WantedState`` for changes from control.
            genes: Genes whose perturbations compete; None for the target genes of the training
                data.
            combinations: ``singles`` or ``pairs`` of them.
            cell_type: Cell type; None where the model has only one.
            by: ``correlation`` of predicted and wanted change, or ``euclidean`` distance of
                predicted and wanted expression, both over the genes of the target.
            top: How many are returned.

        Raises:
            DataError: If the target or a gene does not fit, or the model has several cell types and
                none is named.
        """
        if isinstance(target, str | Path):
            wanted = read_state(Path(target))
        else:
            wanted = target if isinstance(target, WantedState) else WantedState(target)
        sweep = self._sweep(genes, combinations, cell_type)
        return rank_perturbations(self._model, wanted, sweep, RankRequest(by=by, top=top))

    def _sweep(
        self, genes: Sequence[str] | None, combinations: str, cell_type: str | None
    ) -> Sweep:
        chosen = self._model.outputs.target_genes if genes is None else genes
        return sweep_of(chosen, combinations, vocabulary_of(self._model), cell_type)

    def __repr__(self) -> str:
        """Name the model and its data, for a console."""
        return f"LoadedModel({self.manifest.model!r}, trained on {self.manifest.dataset.name!r})"
