"""biolord as published (biolord 0.0.3), in an environment of its own.

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
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dygenept.knowledge.child_files import go_terms
from dygenept.plugin import BaselineSpec, EnvironmentSpec, hookimpl
from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel

ENVIRONMENT = EnvironmentSpec(
    requirements=("biolord==0.0.3", "torch>=2.4,<2.14"),
    python=">=3.10,<3.14",
)


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


def _build(config: BiolordConfig) -> IsolatedModel:
    script = Path(__file__).with_name("_biolord_child.py")
    return IsolatedModel.in_python(script, ENVIRONMENT, config, inputs=("means",), files=go_terms)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="biolord",
            summary="biolord (0.0.3) in an environment of its own.",
            source="Piran et al. 2024, doi:10.1038/s41587-023-02079-x",
            config=BiolordConfig,
            factory=_build,
            closed_form=False,
            uses_device=True,
            environment=lambda config: ENVIRONMENT,
            check_options={"epochs": 1},
        )
    ]
