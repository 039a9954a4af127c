"""CellFlow as published (cellflow-tools 0.0.9), in an environment of its own.

A flow, trained by flow matching along optimal transport plans, carries control cells to perturbed
cells under a condition, here the vectors of the perturbed genes, which the package pools by
attention. Cells are given by principal components, as in the package's tutorials; a prediction is
the mean of the cells that it makes of control cells of the same cell type, brought back to genes.
With several cell types, each has its own controls, and the cell type is a further covariate.
A gene needs a vector: those of the tutorials are ESM2 embeddings, which do not ship; GO texts stand
in (see ``embedding``). Validation perturbations are not used. The environment has JAX for the CPU,
on which the defaults are out of reach: give ``iterations``, ``batch_size`` and ``width``.
Source: Klein et al. 2025, doi:10.1101/2025.04.11.648220. Licence of cellflow-tools: PolyForm
Noncommercial 1.0.0; it is installed and run, never copied. Its environment takes about 1.6 GB.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dygenept.knowledge.child_files import gene_vectors
from dygenept.plugin import BaselineSpec, EnvironmentSpec, hookimpl
from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel

# The package imports requests without naming it; its scikit-learn pin needs numpy below 3.
ENVIRONMENT = EnvironmentSpec(
    requirements=("cellflow-tools==0.0.9", "requests", "jax<0.11", "numpy<3"),
    python=">=3.11,<3.13",
)


class CellflowConfig(IsolatedConfig):
    """Options of ``cellflow``.

    Attributes:
        embedding: Where gene vectors come from: a facet set of the registry, a knowledge file or a
            file of gene vectors.
        iterations: Training iterations, as in the package's tutorials.
        batch_size: Cells of a condition per iteration; the package's default.
        width: Units of a hidden layer; the package's default. The decoder has twice as many.
        n_layers: Layers of the time encoder, the hidden part and the decoder; the package's
            default.
        n_components: Principal components of a cell.
        lr: Learning rate of Adam; the package's default, one step for 20 iterations.
    """

    embedding: str = "go_minilm"
    iterations: int = Field(default=500_000, gt=0)
    batch_size: int = Field(default=1024, gt=0)
    width: int = Field(default=2048, gt=0)
    n_layers: int = Field(default=3, gt=0)
    n_components: int = Field(default=50, gt=0)
    lr: float = Field(default=5e-5, gt=0)


def _build(config: CellflowConfig) -> IsolatedModel:
    script = Path(__file__).with_name("_cellflow_child.py")
    return IsolatedModel.in_python(
        script, ENVIRONMENT, config, files=gene_vectors(config.embedding)
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="cellflow",
            summary="CellFlow (cellflow-tools 0.0.9) in an environment of its own.",
            source="Klein et al. 2025, doi:10.1101/2025.04.11.648220",
            config=CellflowConfig,
            factory=_build,
            needs_cells=True,
            closed_form=False,
            knowledge=lambda config: config.embedding,
            environment=lambda config: ENVIRONMENT,
            check_options={
                "iterations": 20,
                "batch_size": 32,
                "width": 32,
                "n_layers": 1,
                "n_components": 8,
            },
        )
    ]
