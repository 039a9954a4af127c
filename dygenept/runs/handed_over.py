"""What a script hands over, as names, files and settings for a run: models, predictions, data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dygenept.data.memory import MemoryLimit
from dygenept.data.opening import open_data
from dygenept.data.request import DataRequest
from dygenept.errors import ConfigError, DataError, nearest
from dygenept.machine.amounts import parse_memory
from dygenept.model.given import GivenModel
from dygenept.plugin.environment import Environment
from dygenept.types import DataMapping, PerturbationData, no_report

if TYPE_CHECKING:
    import anndata
    import pandas as pd
    import polars as pl

Table: TypeAlias = "anndata.AnnData | pd.DataFrame | pl.DataFrame | str | Path"
# What an AnnData object is called that nobody named.
IN_MEMORY = "in_memory"
# What the parts of a mapping were called before the command line had them.
OTHER_NAMES = {
    "condition": "condition_column",
    "cell_type": "cell_type_column",
    "gene_symbols": "symbol_column",
}


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
    import pandas as pd

    if not isinstance(predictions, pl.DataFrame | pd.DataFrame):
        raise DataError(
            f"predictions are a {type(predictions).__name__}; give a path, an AnnData object, or a "
            "polars or pandas table with a column of perturbations and one per gene"
        )
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


def opened_object(
    adata: anndata.AnnData, asked: DataRequest, environment: Environment | None
) -> DataRequest:
    """Read an AnnData object.

    Args:
        adata: The object.
        asked: Its name, how it is read, and most memory.
        environment: Where temporary files go under a limit; None loads the default one.

    Returns:
        The request with the data set.

    Raises:
        DataError: If the cells break a rule, or need more memory than there may be.
    """
    import anndata

    from dygenept.data.reading.in_memory import held_bytes, read_in_memory

    if not isinstance(adata, anndata.AnnData):
        raise DataError(
            f"the data set is a {type(adata).__name__}; give a name, a path, an AnnData object, or "
            "what load_dataset returns"
        )
    limit = None
    if asked.memory is not None:
        environment = environment or Environment.load()
        asked = replace(asked, held=held_bytes(adata))
        runtime = replace(environment.runtime(no_report), memory=asked.memory)
        limit = MemoryLimit.of(runtime, held=asked.held)
    data = read_in_memory(
        adata, mapping=asked.mapping, name=asked.dataset, normalize=asked.normalize, limit=limit
    )
    found = DataRequest(dataset=data.name, opened=data, memory=asked.memory, held=asked.held)
    if environment is None:
        return found
    return replace(found, opened=open_data(found, environment, no_report))


def mapping_of(given: Mapping[str, str | bool | Sequence[str] | None]) -> DataMapping:
    """Return where a file or an object keeps what is needed, as named arguments say.

    Raises:
        ConfigError: If an argument is not known, or is of another type.
    """
    known = {field.name for field in fields(DataMapping)}
    parts = {
        OTHER_NAMES.get(name, name): value
        for name, value in given.items()
        if value not in (None, "")
    }
    several: dict[str, tuple[str, ...]] = {}
    for name, value in parts.items():
        if name not in known:
            raise ConfigError(f"unknown option {name!r}; {nearest(name, known)}")
        if name in ("control", "drop"):
            if not isinstance(value, Iterable):
                raise ConfigError(f"{name} must be a label or several, got {value!r}")
            several[name] = (value,) if isinstance(value, str) else tuple(map(str, value))
        elif not isinstance(value, bool if name == "match_batches" else str):
            what = "True or False" if name == "match_batches" else "a text"
            raise ConfigError(f"{name} must be {what}, got {value!r}")
    return DataMapping(**parts | several)  # type: ignore[arg-type]


def limit_of(memory: str | int | None) -> int | None:
    """Return a limit on memory in bytes, given as bytes or as text such as ``4G``.

    Raises:
        ConfigError: If it is no amount of memory.
    """
    return None if memory is None else parse_memory(str(memory))


def reading_of(
    data: PerturbationData | anndata.AnnData | str | Path,
    environment: Environment,
    *,
    normalize: bool,
    memory: int | None,
    mapping: Mapping[str, str | bool | Sequence[str] | None],
) -> DataRequest:
    """Say which data are read and how; an AnnData object is read at once."""
    if isinstance(data, str | Path):
        return DataRequest(
            dataset=str(data), normalize=normalize, mapping=mapping_of(mapping), memory=memory
        )
    if isinstance(data, PerturbationData):
        if normalize or mapping:
            raise ConfigError(
                "the data set was read already; give normalize and the mapping to load_dataset"
            )
        return DataRequest(dataset=data.name, opened=data, memory=memory)
    parts = dict(mapping)
    asked = DataRequest(
        dataset=str(parts.pop("name", None) or IN_MEMORY),
        normalize=normalize,
        mapping=mapping_of(parts),
        memory=memory,
    )
    return opened_object(data, asked, environment)
