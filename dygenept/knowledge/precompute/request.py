"""What the knowledge pipeline is asked for, and which of its steps that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dygenept.errors import ConfigError, nearest
from dygenept.knowledge.facets.regeneration import RegenerationOptions
from dygenept.knowledge.genes.corpus import CorpusOptions
from dygenept.knowledge.graph.enrichment import EnrichmentOptions
from dygenept.knowledge.graph.sources import NO_KG, KgChoice

ARTEFACTS: Mapping[str, str] = {
    "1": "corpus.jsonl",
    "1.5": "enriched.jsonl",
    "2": "facets.jsonl",
    "2.5": "regenerated.jsonl",
    "3": "embeddings.json",
    "4": "knowledge.safetensors",
}
STEPS: tuple[str, ...] = tuple(ARTEFACTS)


class PrecomputeConfig(BaseModel):
    """Options of all steps.

    Attributes:
        corpus: Options of step 1.
        enrichment: Options of step 1.5.
        writer: Options of the facet writer plugin.
        regeneration: Options of step 2.5.
        encoder: Options of the text encoder plugin.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: CorpusOptions = CorpusOptions()
    enrichment: EnrichmentOptions = EnrichmentOptions()
    writer: dict[str, object] = {}
    regeneration: RegenerationOptions = RegenerationOptions()
    encoder: dict[str, object] = {}


DEFAULTS = PrecomputeConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecomputeRequest:
    """What the pipeline is asked for.

    Attributes:
        output: Folder of all artefacts.
        genes: Gene symbols; None takes those of the user's table, or of the corpus that is there.
        table: A user's table of gene texts; None reads the shipped tables.
        writer: Facet writer plugin.
        encoder: Text encoder plugin.
        kg: Knowledge graphs, their options, and those of the imputation.
        config: Options of the steps.
        resume: False repeats every step.
    """

    output: Path
    genes: tuple[str, ...] | None = None
    table: Path | None = None
    writer: str = "go"
    encoder: str = "minilm"
    kg: KgChoice = NO_KG
    config: PrecomputeConfig = DEFAULTS
    resume: bool = True


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of a step.

    Attributes:
        step: ``1`` to ``4``.
        status: ``done``, or ``kept`` where nothing had changed.
        artefact: File that it left.
        counts: What is in it.
        seconds: Time taken.
    """

    step: str
    status: Literal["done", "kept"]
    artefact: Path
    counts: Mapping[str, int]
    seconds: float


def planned_steps(wanted: Sequence[str], request: PrecomputeRequest) -> tuple[str, ...]:
    """Return the steps to do, in order.

    ``all`` leaves out what needs a knowledge graph where none is named, and what is not enabled.

    Raises:
        ConfigError: If a step is unknown, or needs a graph and none is named.
    """
    unknown = [step for step in wanted if step not in (*STEPS, "all")]
    if unknown:
        raise ConfigError(f"unknown step {unknown[0]!r}; {nearest(unknown[0], (*STEPS, 'all'))}")
    config = request.config
    for step in ("1.5", "2.5"):
        if step in wanted and not request.kg.sources:
            raise ConfigError(f"step {step} reads a knowledge graph; name it with --kg string,go")
    if "all" not in wanted:
        return tuple(step for step in STEPS if step in wanted)
    left_out = set()
    if not request.kg.sources or not config.enrichment.enabled:
        left_out.add("1.5")
    if not request.kg.sources or not config.regeneration.enabled:
        left_out.add("2.5")
    return tuple(step for step in STEPS if step not in left_out or step in wanted)
