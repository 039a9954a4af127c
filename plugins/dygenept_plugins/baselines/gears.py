"""GEARS as published (cell-gears 0.1.2), in an environment of its own.

A graph neural network over genes' co-expression and GO similarity. It trains on train cells, stops
at its best epoch on validation perturbations, and predicts from its controls. GO terms come from
the shipped gene tables, under the data set's own spelling of each gene.
A target without GO terms has no place in its graph: train cells of such perturbations are left out,
and the mean of the train perturbations stands in for their predictions, each named in the notes.
Source: Roohani et al. 2024. Licence of cell-gears: MIT. Its environment takes about 1.8 GB.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dygenept.knowledge.child_files import go_terms
from dygenept.plugin import BaselineSpec, EnvironmentSpec, hookimpl
from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel

# torch_geometric and requests are imported but not declared; scipy 1.15 and pandas 3 break it.
ENVIRONMENT = EnvironmentSpec(
    requirements=(
        "cell-gears==0.1.2",
        "torch>=2.4,<2.14",
        "torch_geometric>=2.5",
        "requests",
        "scipy<1.15",
        "pandas<3",
        "anndata>=0.10",
    ),
    python=">=3.10,<3.13",
)


class GearsConfig(IsolatedConfig):
    """Options of ``gears``; the defaults are the package's own.

    Attributes:
        epochs: Training epochs.
        hidden_size: Width of the graph layers.
        batch_size: Cells per step.
        lr: Learning rate of Adam, halved after each epoch.
    """

    epochs: int = Field(default=20, gt=0)
    hidden_size: int = Field(default=64, gt=0)
    batch_size: int = Field(default=32, gt=0)
    lr: float = Field(default=1e-3, gt=0)


def _build(config: GearsConfig) -> IsolatedModel:
    script = Path(__file__).with_name("_gears_child.py")
    return IsolatedModel.in_python(script, ENVIRONMENT, config, files=go_terms)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="gears",
            summary="GEARS (cell-gears 0.1.2) in an environment of its own.",
            source="Roohani et al. 2024, doi:10.1038/s41587-023-01905-6",
            config=GearsConfig,
            factory=_build,
            needs_cells=True,
            closed_form=False,
            uses_device=True,
            environment=lambda config: ENVIRONMENT,
            check_options={"epochs": 1, "hidden_size": 8},
        )
    ]
