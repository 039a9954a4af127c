"""A trained model that is open: perturbations in, AnnData out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.plugin.environment import Environment
from dygenept.runs.asked import asked_conditions
from dygenept.runs.predict import vocabulary_of, without_knowledge
from dygenept.runs.saved_model import SavedModel, load_model

if TYPE_CHECKING:
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
        """Predict mean expression after perturbations.

        Args:
            perturbations: Such as ``KLF1`` or ``KLF1+MAPK1``.
            cell_type: Predict only in this cell type; None predicts in all.
            allow_unknown: Predict genes that nobody knows, as average genes.

        Returns:
            One row per perturbation and cell type. ``X`` is predicted expression, (n, G), mean
            log1p of normalised counts; ``layers`` has ``control`` and ``delta``; ``obs`` has
            ``perturbation`` and ``cell_type``; ``var`` has ``gene_name``; ``uns["notes"]`` says
            which names were read otherwise than written, and of which genes nothing is known.

        Raises:
            DataError: If a label names no gene or is control, a gene is known to nobody, or the
                cell type is unknown.
        """
        import anndata
        import pandas as pd

        state = self._model.state
        vocabulary = vocabulary_of(self._model, allow_unknown=allow_unknown)
        asked = asked_conditions(perturbations, vocabulary, cell_type)
        conditions = asked.conditions
        predicted = self._model.predict(conditions).expression  # (n, G)
        rows = [state.cell_types.index(condition.cell_type) for condition in conditions]
        control = np.asarray(state.control_means)[rows]  # (n, G)
        obs = pd.DataFrame(
            {
                "perturbation": [condition.label for condition in conditions],
                "cell_type": [condition.cell_type for condition in conditions],
            },
            index=[f"{condition.label}, {condition.cell_type}" for condition in conditions],
        )
        var = pd.DataFrame({"gene_name": list(state.gene_symbols)}, index=list(state.gene_ids))
        layers = {"control": control, "delta": predicted - control}
        # Predicting has read the facets of genes that training had not met.
        notes = (*asked.notes, *without_knowledge(conditions, self._model.state.knowledge))
        return anndata.AnnData(
            predicted, obs=obs, var=var, layers=layers, uns={"notes": list(notes)}
        )

    def __repr__(self) -> str:
        """Name the model and its data, for a console."""
        return f"LoadedModel({self.manifest.model!r}, trained on {self.manifest.dataset.name!r})"
