"""Step 4's work: the facet tensor, imputed, with the origin of every facet, and its texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.knowledge.facets.files import FacetTexts, write_facets
from dygenept.knowledge.facets.imputation import ImputationOptions, impute
from dygenept.knowledge.facets.origins import (
    NATIVE,
    REGENERATED,
    UNKNOWN,
    of_rows,
    with_imputed,
    written_origins,
)
from dygenept.knowledge.graph.merged import CombinedGraph
from dygenept.knowledge.store.store import write_knowledge
from dygenept.knowledge.store.vector_files import FacetVectors
from dygenept.plugin.interfaces import GeneFacets
from dygenept.types import FACETS, GeneKnowledge


@dataclass(frozen=True, slots=True)
class WrittenTensor:
    """Facets as they were written and embedded, before imputation.

    Attributes:
        knowledge: Values and confidence: 1 where native, less where regenerated, 0 where unknown.
        codes: Origin codes, (n_genes, K), int8.
    """

    knowledge: GeneKnowledge
    codes: npt.NDArray[np.int8]


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
    known = vectors.index >= 0
    codes = np.where(known, NATIVE, UNKNOWN).astype(np.int8)
    rows = {gene: row for row, gene in enumerate(genes)}
    for gene, position in facets.regenerated:
        codes[rows[gene], position] = REGENERATED
    confidence = known.astype(np.float32)
    confidence[codes == REGENERATED] = regenerated_confidence
    knowledge = GeneKnowledge(
        name=name,
        sha256=sha256,
        genes=genes,
        facet_names=FACETS,
        values=vectors.dense(),
        confidence=confidence,
    )
    return WrittenTensor(knowledge, codes)


def write_tensor(
    written: WrittenTensor,
    facets: FacetTexts,
    graph: CombinedGraph | None,
    *,
    options: ImputationOptions,
    path: Path,
    texts_path: Path,
    imputed_with: Mapping[str, object] | None,
) -> dict[str, int]:
    """Impute, and write the knowledge file and its texts; genes that stay unknown are left out.

    Args:
        written: Facets before imputation.
        facets: Their texts.
        graph: Graph among their genes; None imputes nothing.
        options: Options of the imputation.
        path: The knowledge file.
        texts_path: Its texts.
        imputed_with: What the file records of its imputation.

    Returns:
        Counts for the manifest.
    """
    knowledge = written.knowledge
    rows = {gene: row for row, gene in enumerate(knowledge.genes)}
    origins = written_origins(
        written.codes,
        {(rows[gene], facet): items for (gene, facet), items in facets.regenerated.items()},
        knowledge.genes,
        () if graph is None else graph.sources,
    )
    if graph is not None:
        imputed = impute(knowledge, graph.aligned(knowledge.genes), options=options)
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
    write_facets(FacetTexts(texts, facets.regenerated), texts_path)
    write_knowledge(kept, path, origins=of_rows(origins, is_kept), imputed_with=imputed_with)
    return {
        "n_genes": len(kept.genes),
        "n_genes_without_knowledge": int((~is_kept).sum()),
        "n_native_facets": int((codes == NATIVE).sum()),
        "n_regenerated_facets": int((codes == REGENERATED).sum()),
        "n_imputed_facets": int(((codes > NATIVE) & (codes < REGENERATED)).sum()),
        "n_unknown_facets": int((codes[is_kept] == UNKNOWN).sum()),
        "width": int(kept.values.shape[2]),
    }
