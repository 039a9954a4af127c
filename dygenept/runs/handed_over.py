"""Models and predictions that a script hands over as objects, as names and files for a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dygenept.errors import ConfigError
from dygenept.model.given import GivenModel

if TYPE_CHECKING:
    import anndata
    import pandas as pd
    import polars as pl

Table: TypeAlias = "anndata.AnnData | pd.DataFrame | pl.DataFrame | str | Path"


def named_models(models: object) -> tuple[tuple[str, ...], tuple[GivenModel, ...]]:
    """Part names of models from models that are handed over."""
    if models is None:
        return (), ()
    if isinstance(models, Mapping):
        named = list(models.items())
    else:
        several = models if isinstance(models, list | tuple) else [models]
        named = [(None, model) for model in several]
    names: list[str] = []
    given: list[GivenModel] = []
    for name, model in named:
        if not isinstance(model, str):
            given.append(GivenModel(name, model))
        elif name in (None, model):
            names.append(model)
        else:
            raise ConfigError(
                f"{model!r} is a registered name and cannot be shown as {name!r}; put it in a list"
            )
    return tuple(names), tuple(given)


def written_predictions(predictions: Table, folder: Path) -> Path:
    """Return the path of predictions; what is in memory is written to a file that is read back."""
    if isinstance(predictions, str | Path):
        return Path(predictions)
    import anndata
    import polars as pl

    if isinstance(predictions, anndata.AnnData):
        path = folder / "predictions.h5ad"
        predictions.write_h5ad(path)
        return path
    table = predictions if isinstance(predictions, pl.DataFrame) else _from_pandas(predictions)
    path = folder / "predictions.parquet"
    table.write_parquet(path)
    return path


def _from_pandas(frame: pd.DataFrame) -> pl.DataFrame:
    """Copy a pandas table; an index of labels becomes the column of perturbations."""
    import pandas as pd
    import polars as pl

    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.rename_axis("perturbation").reset_index()
    return pl.DataFrame({str(name): column.to_list() for name, column in frame.items()})
