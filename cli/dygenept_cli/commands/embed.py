"""``dygenept embed``: control cells through a pretrained cell encoder, to an .npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import DatasetFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.runs.embed import CellEmbedding, EmbedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedFlags(DatasetFlags):
    """Which cells are embedded, and by which encoder."""

    cell_encoder: str | None = flag(
        "Pretrained cell encoder [default: the one that is installed].", metavar="X"
    )
    checkpoint: str | None = flag(
        "Folder of its weights, or a fetched name such as whole_human.", metavar="DIR"
    )
    set_: list[str] | None = flag(
        "Set an option of the cell encoder, such as pooling=mean (see `dygenept plugins show`); "
        "may be given several times.",
        metavar="KEY=VALUE",
    )

    def request(self) -> EmbedRequest:
        """Return what the core embeds."""
        from dygenept.model.overrides import from_dotlist
        from dygenept.runs.embed import EmbedRequest

        return EmbedRequest(
            dataset=self.dataset,
            cell_encoder=self.cell_encoder,
            checkpoint=self.checkpoint,
            options=from_dotlist(self.set_ or ()),
            normalize=self.normalize,
            scale=self.scale,
            mapping=self.mapping(),
            memory=self.memory_bytes(),
        )


def embed(
    *,
    wanted: EmbedFlags,
    output: Path = flag(
        "File for the arrays `cells` and `embedding`.", default=..., metavar="F.npz"
    ),
    where: MachineFlags,
    shown: options.OutputFlags,
) -> None:
    """Write control cells' raw pooled embedding, before projection and normalisation."""
    import time

    from dygenept.runs.embed import embed_controls

    console.check_output(output, suffixes=(".npz",), as_json=shown.as_json)
    environment = where.environment()
    request = wanted.request()
    began = time.perf_counter()
    with shown.progress() as report:
        result = embed_controls(request, environment, report=report)
    _write(result, output)
    n_cells, width = result.embedding.shape
    if shown.as_json:
        console.print_json(
            {
                "cell_encoder": result.encoder.name,
                "checkpoint": wanted.checkpoint,
                "options": result.encoder.options.model_dump(mode="json"),
                "dataset": {
                    "name": result.data.name,
                    "sha256": result.data.sha256,
                    "simulated": result.data.is_simulated,
                },
                "n_cells": n_cells,
                "width": width,
                "device": result.device,
                "seconds": round(time.perf_counter() - began, 3),
                "notes": list(result.notes),
                "output": str(output),
            }
        )
        return
    for note in result.notes:
        console.note(f"note: {note}")
    console.note(f"{n_cells:,} control cells × {width} written to {output}")


def _write(result: CellEmbedding, output: Path) -> None:
    from io import BytesIO

    import numpy as np

    from dygenept.machine.whole_files import write_whole

    buffer = BytesIO()
    # A fixed-width text array, so that numpy reads it back without unpickling.
    np.savez(buffer, cells=np.array(result.cells, dtype=np.str_), embedding=result.embedding)
    write_whole(output, buffer.getvalue())
