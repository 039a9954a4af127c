"""State's transition model as published (arc-state 0.11.1), in an environment of its own.

A transformer reads sets of control cells and a perturbation's features, and learns to turn the set
into perturbed cells. Training is the package's own command, ``state tx train``, in expression space
(all output genes), with its model ``state_sm`` as in the tutorial of the Virtual Cell Challenge
and as many steps as in its README; cell types and validation perturbations are given to it as its
"few-shot" task. Unseen genes need features: those of the tutorial are ESM2 embeddings, which do
not ship; GO texts stand in (see ``embedding``), and a combination has the sum of its genes'. A
prediction is the mean of the cells that it makes of control cells of the same cell type.
At its default of 40,000 steps it needs a GPU; fewer steps and smaller sets run on a CPU.
Source: Adduri et al. 2025, doi:10.1101/2025.06.26.661135. Licence of the code: CC BY-NC-SA 4.0, for
non-commercial use; it is installed and run, never copied. Its environment takes about 2.5 GB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from dygenept.knowledge.child_files import gene_vectors
from dygenept.plugin import BaselineSpec, EnvironmentSpec, hookimpl
from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel

ENVIRONMENT = EnvironmentSpec(
    requirements=("arc-state==0.11.1", "torch>=2.7,<2.14"),
    python=">=3.11,<3.13",
)


class StateConfig(IsolatedConfig):
    """Options of ``state``; the defaults are the package's and its tutorial's.

    Attributes:
        embedding: Where features of perturbed genes come from: a facet set of the registry, a
            knowledge file or a file of gene vectors.
        model: Configuration of the package: ``state_sm``, ``state``, ``state_lg`` or ``pertsets``.
        max_steps: Training steps.
        batch_size: Sets of cells per step.
        cell_set_len: Cells per set; None takes the configuration's.
        lr: Learning rate.
        val_freq: Steps between validations.
    """

    embedding: str = "go_minilm"
    model: Literal["state_sm", "state", "state_lg", "pertsets"] = "state_sm"
    max_steps: int = Field(default=40_000, gt=0)
    batch_size: int = Field(default=16, gt=0)
    cell_set_len: int | None = Field(default=None, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    val_freq: int = Field(default=2000, gt=0)


def _build(config: StateConfig) -> IsolatedModel:
    script = Path(__file__).with_name("_state_child.py")
    return IsolatedModel.in_python(
        script, ENVIRONMENT, config, files=gene_vectors(config.embedding)
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="state",
            summary="State (arc-state 0.11.1) in an environment of its own.",
            source="Adduri et al. 2025, doi:10.1101/2025.06.26.661135",
            config=StateConfig,
            factory=_build,
            needs_cells=True,
            closed_form=False,
            uses_device=True,
            knowledge=lambda config: config.embedding,
            environment=lambda config: ENVIRONMENT,
            check_options={"max_steps": 2, "batch_size": 1, "cell_set_len": 8},
        )
    ]
