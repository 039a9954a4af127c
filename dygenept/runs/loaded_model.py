"""A trained model that is open: perturbations in, AnnData out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.plugin.environment import Environment
from dygenept.runs.predict import named_conditions
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
        self, perturbations: Sequence[str], *, cell_type: str | None = None
    ) -> anndata.AnnData:
        """Predict mean expression after perturbations.

        Args:
            perturbations: Such as ``KLF1`` or ``KLF1+MAPK1``.
            cell_type: Predict only in this cell type; None predicts in all.

        Returns:
            One row per perturbation and cell type. ``X`` is predicted expression, (n, G), mean
            log1p of normalised counts; ``layers`` has ``control`` and ``delta``; ``obs`` has
            ``perturbation`` and ``cell_type``; ``var`` has ``gene_name``.

        Raises:
            DataError: If a label names no gene or is control, or the cell type is unknown.
        """
        import anndata
        import pandas as pd

        state = self._model.state
        conditions = named_conditions(perturbations, state.cell_types, cell_type)
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
        return anndata.AnnData(predicted, obs=obs, var=var, layers=layers)

    def __repr__(self) -> str:
        """Name the model and its data, for a console."""
        return f"LoadedModel({self.manifest.model!r}, trained on {self.manifest.dataset.name!r})"
