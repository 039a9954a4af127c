"""What a model is given besides the data: where it runs, and what is known of genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dygenept.errors import ConfigError, ShapeError
from dygenept.types.perturbations import FloatArray

# The eight facets of a gene, in their fixed order.
FACETS: tuple[str, ...] = (
    "Transcriptional Regulation",
    "Cell Cycle & Proliferation",
    "Cell Death & Survival",
    "Metabolic Processes",
    "Immune Response",
    "Signal Transduction",
    "Cell Motility & Adhesion",
    "Transport & Localization",
)


@dataclass(frozen=True, slots=True)
class GeneKnowledge:
    """Facet embeddings of genes, frozen.

    Attributes:
        name: Name of the knowledge set, such as ``go_minilm``.
        sha256: Hash of all that determined it.
        genes: Gene symbols, (n_genes,), unique.
        facet_names: Names of the K facets, in order.
        values: Facet embeddings, (n_genes, K, D_text), float32; zeros where unknown.
        confidence: In [0, 1], (n_genes, K), float32; 0 means unknown.
        notes: What a user should know of how it was made.
    """

    name: str
    sha256: str
    genes: tuple[str, ...]
    facet_names: tuple[str, ...]
    values: FloatArray
    confidence: FloatArray
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the arrays agree."""
        n_genes, n_facets = len(self.genes), len(self.facet_names)
        if self.values.shape[:2] != (n_genes, n_facets) or self.values.ndim != 3:
            raise ShapeError(
                f"knowledge {self.name!r}: values are {self.values.shape}, "
                f"expected ({n_genes}, {n_facets}, D)"
            )
        if self.confidence.shape != (n_genes, n_facets):
            raise ShapeError(
                f"knowledge {self.name!r}: confidence is {self.confidence.shape}, "
                f"expected ({n_genes}, {n_facets})"
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a long step; the command line turns it into a bar.

    Attributes:
        stage: What is going on, such as ``fold`` or ``epoch``.
        step: Steps done.
        total: Steps in all; 0 where unknown.
        message: A short free text, such as a loss.
    """

    stage: str
    step: int
    total: int
    message: str = ""


def no_report(progress: Progress) -> None:
    """Drop a progress report."""


# Opens any facet set or knowledge file by name; ``FacetSetReader`` is bound to one of them.
KnowledgeReader = Callable[[str, Sequence[str], "Runtime"], GeneKnowledge]
FacetSetReader = Callable[[Sequence[str], "Runtime"], GeneKnowledge]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a model may know about where it runs; made by the runner.

    Attributes:
        device: Torch device string; only the runner picks it.
        seed: Derived from (seed, suite, fold, model).
        report: Callback for progress.
        checkpoint_dir: Where training checkpoints go; None keeps none.
        cache_dir: Where computed knowledge is cached.
        data_dir: Where data sets and knowledge graphs live; None takes the default.
        resume: Continue from a checkpoint that is there.
        knowledge: Opens a facet set of the registry or a knowledge file; call ``open_knowledge``.
        memory: Most bytes of memory that cells may take as they are read, and what is computed of
            them; None for no limit. Of a source alone whose spec says ``streams``.
    """

    device: str = "cpu"
    seed: int = 0
    report: Callable[[Progress], None] = no_report
    checkpoint_dir: Path | None = None
    cache_dir: Path | None = None
    data_dir: Path | None = None
    resume: bool = True
    knowledge: KnowledgeReader | None = None
    memory: int | None = None

    def open_knowledge(self, name_or_file: str, genes: Sequence[str]) -> GeneKnowledge:
        """Return the facet embeddings of some genes.

        Args:
            name_or_file: A facet set of the registry, or the path of a knowledge file.
            genes: Gene symbols; a gene that is not known has confidence 0 throughout.

        Raises:
            ConfigError: If this run has no registry to look the name up in.
            DygeneptError: If the set is unknown, its file is absent or damaged.
        """
        if self.knowledge is None:
            raise ConfigError(
                f"facet set {name_or_file!r} cannot be opened: this run was given no registry; "
                "use Runtime(knowledge=…)"
            )
        return self.knowledge(name_or_file, genes, self)
