"""``dygenept embed``: control cells through a pretrained cell encoder, to an .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.runs.embed import CellEmbedding


def embed(
    dataset: options.DatasetOption,
    output: Annotated[
        Path,
        typer.Option("--output", metavar="F.npz", help="Arrays `cells` and `embedding` go here."),
    ],
    cell_encoder: Annotated[
        str | None,
        typer.Option(
            "--cell-encoder",
            metavar="X",
            help="A pretrained cell encoder [default: the one that is installed].",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="DIR",
            help="Folder of its weights, or a fetched name such as whole_human.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set one option of the cell encoder, such as pooling=mean (see `dygenept plugins "
            "show`); may be given several times.",
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Write control cells' raw pooled embedding, before projection and normalisation."""
    import time

    from dygenept.errors import ConfigError
    from dygenept.machine.progress import shown_progress
    from dygenept.model.overrides import from_dotlist
    from dygenept.runs.embed import EmbedRequest, embed_controls
    from dygenept_cli import context

    if output.suffix != ".npz":
        raise ConfigError(f"--output must name an .npz file, got {output}")
    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    request = EmbedRequest(
        dataset=dataset,
        cell_encoder=cell_encoder,
        checkpoint=checkpoint,
        options=from_dotlist(set_ or ()),
        normalize=normalize,
        scale=scale,
    )
    began = time.perf_counter()
    with shown_progress(quiet=quiet) as report:
        result = embed_controls(request, environment, report=report)
    _write(result, output)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "cell_encoder": result.encoder.name,
                "checkpoint": checkpoint,
                "options": result.encoder.options.model_dump(mode="json"),
                "dataset": {
                    "name": result.data.name,
                    "sha256": result.data.sha256,
                    "simulated": result.data.is_simulated,
                },
                "n_cells": len(result.cells),
                "width": int(result.embedding.shape[1]),
                "device": result.device,
                "seconds": round(time.perf_counter() - began, 3),
                "notes": list(result.notes),
                "output": str(output),
            }
        )
        return
    for note in result.notes:
        context.note(f"note: {note}")
    n_cells, width = result.embedding.shape
    context.note(f"{n_cells:,} control cells × {width} written to {output}")


def _write(result: CellEmbedding, output: Path) -> None:
    from io import BytesIO

    import numpy as np

    from dygenept.results.store import write_atomically

    buffer = BytesIO()
    # A fixed-width text array, so that numpy reads it back without unpickling.
    np.savez(buffer, cells=np.array(result.cells, dtype=np.str_), embedding=result.embedding)
    write_atomically(output, buffer.getvalue())
