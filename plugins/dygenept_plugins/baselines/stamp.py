"""STAMP as published (cell-stamp 0.1.2), in an environment of its own.

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
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dygenept.knowledge.child_files import gene_vectors
from dygenept.plugin import BaselineSpec, EnvironmentSpec, hookimpl
from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel

# The package's exact pins, of setuptools for one, exclude today's torch.
ENVIRONMENT = EnvironmentSpec(
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


def _build(config: StampConfig) -> IsolatedModel:
    script = Path(__file__).with_name("_stamp_child.py")
    return IsolatedModel.in_python(
        script, ENVIRONMENT, config, files=gene_vectors(config.embedding, of_outputs=True)
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="stamp",
            summary="STAMP (cell-stamp 0.1.2) in an environment of its own.",
            source="Gao et al. 2024, doi:10.1038/s43588-024-00698-1",
            config=StampConfig,
            factory=_build,
            needs_cells=True,
            closed_form=False,
            uses_device=True,
            knowledge=lambda config: config.embedding,
            environment=lambda config: ENVIRONMENT,
            check_options={"epochs": 1},
        )
    ]
