"""Published models as their authors ship them, each in an environment of its own.

``gears``: GEARS as published (cell-gears 0.1.2).
A graph neural network over genes' co-expression and GO similarity. It trains on train cells, stops
at its best epoch on validation perturbations, and predicts from its controls. GO terms come from
the shipped gene tables, under the data set's own spelling of each gene.
A target without GO terms has no place in its graph: train cells of such perturbations are left out,
and the mean of the train perturbations stands in for their predictions, each named in the notes.
Source: Roohani et al. 2024. Licence of cell-gears: MIT. Its environment takes about 1.8 GB.

``biolord``: biolord as published (biolord 0.0.3).
It disentangles known attributes from the rest of a profile. Protocol and hyper-parameters are those
of the authors' reproduction of Norman: it learns from the mean profiles of single perturbations and
of controls, a perturbation's attribute is its neighbourhood in GEARS' GO graph (the 20 genes with
the largest Jaccard index, and itself), and a combination is the sum of its genes' changes, observed
where a gene was in train, else predicted. GO terms come from the shipped gene tables. With several
cell types, the cell type is a second known attribute.
A target without GO terms has no neighbourhood: such train perturbations are left out, and the mean
of the train perturbations stands in for their predictions, each named in the notes.
Source: Piran et al. 2024, doi:10.1038/s41587-023-02079-x. Licence of biolord: BSD 3-Clause. Its
environment takes about 1.8 GB.

``stamp``: STAMP as published (cell-stamp 0.1.2).
It splits the task in three: which genes are differentially expressed, in which direction, and by
what fold change; each level is a network over the embeddings of perturbed and output genes. The
levels are made from train cells as the authors' code makes them (Welch's t test against the control
of the cell type, adjusted p at most 0.01), and the best epochs on validation perturbations are
kept by the package. A prediction puts the levels together again: a gene whose probability of
differential expression is above one half changes by the predicted fold change, in the predicted
direction; any other stays at its control. One model is trained for each cell type.
The authors' own gene embeddings do not ship; GO texts stand in (see ``embedding``).
Source: Gao et al. 2024, doi:10.1038/s43588-024-00698-1. Licence of cell-stamp: GPL-3.0; it is
installed and run, never copied. Its environment takes about 1.7 GB.

``state``: State's transition model as published (arc-state 0.11.1).
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

``cellflow``: CellFlow as published (cellflow-tools 0.0.9).
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

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dygenept.knowledge.child_files import gene_vectors, go_terms
from dygenept.plugin import BaselineSpec, EnvironmentSpec, hookimpl
from dygenept.plugin.isolated.handover import Input
from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel, MakesFiles

# torch_geometric and requests are imported but not declared; scipy 1.15 and pandas 3 break it.
GEARS = EnvironmentSpec(
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

BIOLORD = EnvironmentSpec(
    requirements=("biolord==0.0.3", "torch>=2.4,<2.14"),
    python=">=3.10,<3.14",
)

# The package's exact pins, of setuptools for one, exclude today's torch.
STAMP = EnvironmentSpec(
    requirements=(
        "torch>=2.4,<2.14",
        "scanpy>=1.10",
        "anndata>=0.10",
        "scikit-learn>=1.5",
        "joblib",
        "matplotlib",
        "pyyaml",
    ),
    no_deps=("cell-stamp==0.1.2",),
    python=">=3.10,<3.14",
)

STATE = EnvironmentSpec(
    requirements=("arc-state==0.11.1", "torch>=2.7,<2.14"),
    python=">=3.11,<3.13",
)

# The package imports requests without naming it; its scikit-learn pin needs numpy below 3.
CELLFLOW = EnvironmentSpec(
    requirements=("cellflow-tools==0.0.9", "requests", "jax<0.11", "numpy<3"),
    python=">=3.11,<3.13",
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


class BiolordConfig(IsolatedConfig):
    """Options of ``biolord``; the defaults are the authors' for Norman.

    Attributes:
        epochs: Training epochs.
        batch_size: Profiles per step.
        n_latent: Width of the latent space of what no attribute explains.
        n_neighbors: Genes in a neighbourhood, besides the gene itself.
        min_weight: A gene is a feature if its weight, summed over perturbations, is above this: 1
            for Norman, 0 for Adamson.
    """

    epochs: int = Field(default=200, gt=0)
    batch_size: int = Field(default=32, gt=0)
    n_latent: int = Field(default=32, gt=0)
    n_neighbors: int = Field(default=20, gt=0)
    min_weight: float = Field(default=1.0, ge=0)


class StampConfig(IsolatedConfig):
    """Options of ``stamp``; the defaults are those of the package's example and tutorial.

    Attributes:
        embedding: Where gene vectors come from: a facet set of the registry, a knowledge file or a
            file of gene vectors.
        epochs: Training epochs.
        batch_size: Perturbations per step.
        lr: Learning rate of AdamW.
        max_p: Largest adjusted p value of a differentially expressed gene.
    """

    embedding: str = "go_minilm"
    epochs: int = Field(default=200, gt=0)
    batch_size: int = Field(default=64, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    max_p: float = Field(default=0.01, gt=0, lt=1)


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


def _vectors(config: StateConfig | CellflowConfig) -> MakesFiles:
    return gene_vectors(config.embedding)


def _runs(
    name: str,
    environment: EnvironmentSpec,
    files: Callable[[Any], MakesFiles],
    *,
    inputs: tuple[Input, ...] = ("cells",),
) -> Callable[[Any], IsolatedModel]:
    """Return the factory of a model whose script is ``_NAME_child.py``."""
    script = Path(__file__).with_name(f"_{name}_child.py")

    def build(config: IsolatedConfig) -> IsolatedModel:
        return IsolatedModel.in_python(
            script, environment, config, inputs=inputs, files=files(config)
        )

    return build


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baselines."""
    spec = partial(BaselineSpec, closed_form=False, uses_device=True)
    return [
        spec(
            name="gears",
            summary="GEARS (cell-gears 0.1.2) in an environment of its own.",
            source="Roohani et al. 2024, doi:10.1038/s41587-023-01905-6",
            config=GearsConfig,
            factory=_runs("gears", GEARS, lambda config: go_terms),
            needs_cells=True,
            environment=lambda config: GEARS,
            check_options={"epochs": 1, "hidden_size": 8},
        ),
        spec(
            name="biolord",
            summary="biolord (0.0.3) in an environment of its own.",
            source="Piran et al. 2024, doi:10.1038/s41587-023-02079-x",
            config=BiolordConfig,
            factory=_runs("biolord", BIOLORD, lambda config: go_terms, inputs=("means",)),
            environment=lambda config: BIOLORD,
            check_options={"epochs": 1},
        ),
        spec(
            name="stamp",
            summary="STAMP (cell-stamp 0.1.2) in an environment of its own.",
            source="Gao et al. 2024, doi:10.1038/s43588-024-00698-1",
            config=StampConfig,
            factory=_runs(
                "stamp", STAMP, lambda config: gene_vectors(config.embedding, of_outputs=True)
            ),
            needs_cells=True,
            knowledge=lambda config: config.embedding,
            environment=lambda config: STAMP,
            check_options={"epochs": 1},
        ),
        spec(
            name="state",
            summary="State (arc-state 0.11.1) in an environment of its own.",
            source="Adduri et al. 2025, doi:10.1101/2025.06.26.661135",
            config=StateConfig,
            factory=_runs("state", STATE, _vectors),
            needs_cells=True,
            knowledge=lambda config: config.embedding,
            environment=lambda config: STATE,
            check_options={"max_steps": 2, "batch_size": 1, "cell_set_len": 8},
        ),
        BaselineSpec(
            name="cellflow",
            summary="CellFlow (cellflow-tools 0.0.9) in an environment of its own.",
            source="Klein et al. 2025, doi:10.1101/2025.04.11.648220",
            config=CellflowConfig,
            factory=_runs("cellflow", CELLFLOW, _vectors),
            needs_cells=True,
            closed_form=False,
            knowledge=lambda config: config.embedding,
            environment=lambda config: CELLFLOW,
            check_options={
                "iterations": 20,
                "batch_size": 32,
                "width": 32,
                "n_layers": 1,
                "n_components": 8,
            },
        ),
    ]
