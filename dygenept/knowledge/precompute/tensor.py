"""Step 4: the facet tensor, imputed, with the origin of every facet, and its texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.knowledge.facets.imputation import impute
from dygenept.knowledge.facets.origins import (
    NATIVE,
    REGENERATED,
    UNKNOWN,
    of_rows,
    with_imputed,
    written_origins,
)
from dygenept.knowledge.facets.texts import FacetTexts, write_facets
from dygenept.knowledge.graph.combined import CombinedGraph
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.store.embedding import FacetVectors
from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.plugin.interfaces import GeneFacets
from dygenept.types import GeneKnowledge

TEXTS_NAME = "knowledge.texts.jsonl"


@dataclass(frozen=True, slots=True)
class WrittenTensor:
    """Facets as they were written and embedded, before imputation.

    Attributes:
        knowledge: Values and confidence: 1 where native, less where regenerated, 0 where unknown.
        codes: Origin codes, (n_genes, K), int8.
        facets: The texts.
    """

    knowledge: GeneKnowledge
    codes: npt.NDArray[np.int8]
    facets: FacetTexts


def knowledge_tensor(
    vectors: FacetVectors,
    facets: FacetTexts,
    *,
    name: str,
    sha256: str,
    regenerated_confidence: float,
) -> WrittenTensor:
    """Lay embedded facets out as a tensor.

    Raises:
        DataError: If the vectors are of other genes than the texts.
    """
    genes = tuple(item.gene for item in facets.genes)
    if vectors.genes != genes:
        raise DataError("the embedded facets are of other genes than the texts; run step 3 again")
    native = vectors.knowledge(name=name, sha256=sha256)
    codes = np.where(native.confidence > 0, NATIVE, UNKNOWN).astype(np.int8)
    rows = {gene: row for row, gene in enumerate(genes)}
    for gene, position in facets.regenerated:
        codes[rows[gene], position] = REGENERATED
    native.confidence[codes == REGENERATED] = regenerated_confidence
    return WrittenTensor(native, codes, facets)


def write_tensor(
    written: WrittenTensor, graph: CombinedGraph | None, *, kg: KgChoice, path: Path
) -> dict[str, int]:
    """Impute, and write the knowledge file and its texts; genes that stay unknown are left out.

    Args:
        written: Facets before imputation.
        graph: Graph among their genes; None imputes nothing.
        kg: The graphs and the options of the imputation, which the file records.
        path: The knowledge file; its texts go into a file beside it.

    Returns:
        Counts for the manifest.
    """
    knowledge, facets = written.knowledge, written.facets
    rows = {gene: row for row, gene in enumerate(knowledge.genes)}
    origins = written_origins(
        written.codes,
        {(rows[gene], facet): items for (gene, facet), items in facets.regenerated.items()},
        knowledge.genes,
        () if graph is None else graph.sources,
    )
    if graph is not None:
        imputed = impute(knowledge, graph.aligned(knowledge.genes), options=kg.imputation_options())
        origins = with_imputed(origins, imputed, graph)
        knowledge = imputed.knowledge
    codes = origins.codes
    is_kept = (codes != UNKNOWN).any(axis=1)
    kept = replace(
        knowledge,
        sha256=written.knowledge.sha256,
        name=written.knowledge.name,
        genes=tuple(gene for gene, keep in zip(knowledge.genes, is_kept, strict=True) if keep),
        values=knowledge.values[is_kept],
        confidence=knowledge.confidence[is_kept],
    )
    texts: tuple[GeneFacets, ...] = tuple(
        item for item, keep in zip(facets.genes, is_kept, strict=True) if keep
    )
    write_facets(FacetTexts(texts, facets.regenerated), path.with_name(TEXTS_NAME))
    write_knowledge(
        kept,
        path,
        origins=of_rows(origins, is_kept),
        imputed_with=None if graph is None else kg.record(),
    )
    return {
        "n_genes": len(kept.genes),
        "n_genes_without_knowledge": int((~is_kept).sum()),
        "n_native_facets": int((codes == NATIVE).sum()),
        "n_regenerated_facets": int((codes == REGENERATED).sum()),
        "n_imputed_facets": int(((codes > NATIVE) & (codes < REGENERATED)).sum()),
        "n_unknown_facets": int((codes[is_kept] == UNKNOWN).sum()),
        "width": int(kept.values.shape[2]),
    }
