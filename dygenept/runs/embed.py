"""Embeds the control cells of a data set with a pretrained cell encoder alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dygenept.data.request import DataRequest, open_data
from dygenept.errors import ConfigError
from dygenept.machine.devices import pick_device
from dygenept.plugin.interfaces import CellEmbedder, CellEncoder, CellEncoderContext, ControlPool
from dygenept.plugin.interfaces.offers import notes_of
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.plugin.specs import CellEncoderSpec
from dygenept.types import FloatArray, PerturbationData, Progress, Runtime

CHECKPOINT = "checkpoint"
BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest(DataRequest):
    """What to embed and how.

    Attributes:
        cell_encoder: Plugin.
        checkpoint: Folder of its weights.
        pooling: ``cls`` or ``mean``.
        max_length: Longest sequence; None takes the checkpoint's.
        batch: Cells at a time; None takes what suits the device.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    cell_encoder: str
    checkpoint: str | None
    pooling: str
    max_length: int | None
    batch: int | None
    device: str


@dataclass(frozen=True, slots=True)
class CellEmbedding:
    """Embeddings of control cells.

    Attributes:
        data: The data set.
        cells: Names of its control cells, in order of the file, (n,).
        embedding: Raw pooled embedding before projection and normalisation, (n, d), float32.
        device: Where it was computed.
        notes: What a user should know, one sentence each.
    """

    data: PerturbationData
    cells: tuple[str, ...]
    embedding: FloatArray
    device: str
    notes: tuple[str, ...]


def embed_controls(
    request: EmbedRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    report: Callable[[Progress], None],
) -> CellEmbedding:
    """Embed every control cell of a data set.

    Raises:
        ConfigError: If no checkpoint is named, or the cell encoder has no pretrained embedding.
        DataError: If the data set or the checkpoint cannot be had or is damaged.
    """
    spec = manager.get(CellEncoderSpec, request.cell_encoder)
    if CHECKPOINT not in spec.config.model_fields:
        able = [
            other.name
            for other in manager.specs(CellEncoderSpec)
            if CHECKPOINT in other.config.model_fields
        ]
        raise ConfigError(
            f"cell encoder {spec.name!r} has no pretrained embedding; choose one of: "
            f"{', '.join(able) or 'none is installed'}"
        )
    if request.checkpoint is None:
        raise ConfigError(
            f"embedding cells with {spec.name} needs its weights: give --checkpoint DIR, or fetch "
            f"them with `dygenept data fetch {spec.name}`"
        )
    options = {
        CHECKPOINT: request.checkpoint,
        "pooling": request.pooling,
        "max_length": request.max_length,
        "encode_batch": request.batch,
        "freeze_layers": "all",
        "cache": "memory",
        "cache_dtype": "float32",
    }
    known = spec.config.model_fields
    config = manager.configure(spec, {k: v for k, v in options.items() if k in known})
    if spec.missing is not None and (lacking := spec.missing(config)) is not None:
        raise ConfigError(lacking)
    runtime = Runtime(device=pick_device(request.device), report=report)
    data = open_data(request, registry, manager, report)
    encoder = spec.factory(
        config,
        CellEncoderContext(
            gene_symbols=data.gene_symbols,
            target_genes=data.target_genes,
            width=1,
            seed=0,
            runtime=runtime,
        ),
    )
    rows = np.flatnonzero(data.condition_codes < 0)
    return CellEmbedding(
        data=data,
        cells=tuple(str(name) for name in data.cell_ids[rows]),
        embedding=_embed(encoder, data, rows, runtime),
        device=runtime.device,
        notes=notes_of(encoder),
    )


def _embed(
    encoder: CellEncoder, data: PerturbationData, rows: np.ndarray, runtime: Runtime
) -> FloatArray:
    import torch

    from dygenept.model.assembly import as_module

    if not isinstance(encoder, CellEmbedder):
        raise ConfigError(f"{type(encoder).__name__} has no embedding before its projection")
    as_module("cell_encoder", encoder).to(torch.device(runtime.device)).eval()
    encoder.prepare(
        ControlPool(
            expression=data.expression[rows],
            gene_symbols=data.gene_symbols,
            cell_type_codes=[int(code) for code in data.cell_type_codes[rows]],
        )
    )
    with torch.inference_mode():
        blocks = [
            encoder.embed(indices).float().cpu().numpy()
            for indices in torch.split(torch.arange(len(rows)), BLOCK)
        ]
    embedding: FloatArray = np.concatenate(blocks)
    return embedding
