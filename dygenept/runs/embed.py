"""Embeds the control cells of a data set with a pretrained cell encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dygenept.data.opening import open_data
from dygenept.data.request import DataRequest
from dygenept.errors import ConfigError
from dygenept.machine.devices import pick_device
from dygenept.plugin.configured import ConfiguredPlugin
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import CellEmbedder, CellEncoder, CellEncoderContext, ControlPool
from dygenept.plugin.interfaces.offers import notes_of
from dygenept.plugin.specs import CellEncoderSpec
from dygenept.types import FloatArray, PerturbationData, Progress, Runtime

# The one option that a flag of its own sets, in whichever encoder has it.
CHECKPOINT = "checkpoint"
BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest(DataRequest):
    """What to embed and how.

    Attributes:
        cell_encoder: Plugin; None takes the one that is installed, where there is only one.
        checkpoint: Folder of its weights.
        options: Further options of the plugin.
    """

    cell_encoder: str | None = None
    checkpoint: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellEmbedding:
    """Embeddings of control cells.

    Attributes:
        data: The data set.
        encoder: The cell encoder with its options.
        cells: Names of its control cells, in order of the file, (n,).
        embedding: Raw pooled embedding before projection and normalisation, (n, d), float32.
        device: Where it was computed.
        notes: What a user should know, one sentence each.
    """

    data: PerturbationData
    encoder: ConfiguredPlugin[CellEncoderSpec]
    cells: tuple[str, ...]
    embedding: FloatArray
    device: str
    notes: tuple[str, ...]


def embed_controls(
    request: EmbedRequest, environment: Environment, *, report: Callable[[Progress], None]
) -> CellEmbedding:
    """Embed every control cell of a data set.

    Raises:
        ConfigError: If no checkpoint is named, or the cell encoder has no pretrained embedding.
        DataError: If the data set or the checkpoint cannot be had or is damaged.
    """
    plugin = _embedder(request, environment)
    if (lacks := plugin.missing()) is not None:
        raise ConfigError(lacks)
    runtime = environment.runtime(report, device=pick_device(environment.device))
    data = open_data(request, environment, report)
    encoder = plugin.spec.factory(
        plugin.options,
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
        encoder=plugin,
        cells=tuple(str(name) for name in data.cell_ids[rows]),
        embedding=_embed(encoder, data, rows, runtime),
        device=runtime.device,
        notes=notes_of(encoder),
    )


def _embedder(request: EmbedRequest, environment: Environment) -> ConfiguredPlugin[CellEncoderSpec]:
    """Return the cell encoder that is asked for, with the options that it embeds with."""
    able = [
        spec
        for spec in environment.manager.specs(CellEncoderSpec)
        if spec.embed_options is not None
    ]
    names = ", ".join(spec.name for spec in able) or "none is installed"
    if request.cell_encoder is not None:
        spec = environment.manager.get(CellEncoderSpec, request.cell_encoder)
    elif len(able) == 1:
        spec = able[0]
    else:
        raise ConfigError(f"say which cell encoder: --cell-encoder X, one of: {names}")
    if spec.embed_options is None:
        raise ConfigError(
            f"cell encoder {spec.name!r} has no pretrained embedding; choose one of: {names}"
        )
    has_checkpoint = CHECKPOINT in spec.config.model_fields
    options = {**spec.embed_options, **request.options}
    if request.checkpoint is not None:
        if not has_checkpoint:
            raise ConfigError(
                f"cell encoder {spec.name!r} reads no checkpoint; leave --checkpoint out"
            )
        options[CHECKPOINT] = request.checkpoint
    if has_checkpoint and options.get(CHECKPOINT) is None:
        raise ConfigError(
            f"embedding cells with {spec.name} needs its weights: give --checkpoint DIR, or fetch "
            f"them with `dygenept data fetch {spec.name}`"
        )
    return environment.configured(CellEncoderSpec, spec.name, options)


def _embed(
    encoder: CellEncoder, data: PerturbationData, rows: np.ndarray, runtime: Runtime
) -> FloatArray:
    import torch

    from dygenept.model.network import as_module

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
    return np.concatenate(blocks)
