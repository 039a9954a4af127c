"""Modules that have moved, so that a plugin that imports an old path is told the new one."""

from __future__ import annotations

# What a plugin author needs comes from these two; every other module is for those who build on
# one part of the core.
_PLUGIN, _TYPES = "dygenept.plugin", "dygenept.types"

# Old module to new one. A parent stands for its children, and the longest entry that fits wins.
MOVED = {
    "dygenept.hookspecs": _PLUGIN,
    "dygenept.interfaces": _PLUGIN,
    "dygenept.isolated": _PLUGIN,
    "dygenept.specs": _PLUGIN,
    "dygenept.data.simulate": "dygenept.data.simulated.simulation",
    "dygenept.data.carried_lists": "dygenept.data.reading.carried_lists",
    "dygenept.data.cells": "dygenept.data.reading.cells",
    "dygenept.data.checksums": "dygenept.machine.checksums",
    "dygenept.data.de": "dygenept.data.de.lists",
    "dygenept.data.de_tests": "dygenept.data.de.tests",
    "dygenept.data.download": "dygenept.machine.download",
    "dygenept.data.expression": "dygenept.data.reading.expression",
    "dygenept.data.fingerprint": "dygenept.data.reading.fingerprint",
    "dygenept.data.h5ad": "dygenept.data.reading.h5ad",
    "dygenept.data.labels": "dygenept.data.reading.labels",
    "dygenept.data.rank_sum": "dygenept.data.de.rank_sum",
    "dygenept.data.reach": "dygenept.data.reachable",
    "dygenept.data.reading": "dygenept.data.reading.anndata_file",
    "dygenept.data.simulate_counts": "dygenept.data.simulated.counts",
    "dygenept.data.simulate_effects": "dygenept.data.simulated.effects",
    "dygenept.data.simulate_expected": "dygenept.data.simulated.expected",
    "dygenept.data.simulate_export": "dygenept.data.simulated.export",
    "dygenept.data.simulate_profiles": "dygenept.data.simulated.profiles",
    "dygenept.data.simulate_programs": "dygenept.data.simulated.programs",
    "dygenept.data.simulate_truth": "dygenept.data.simulated.truth",
    "dygenept.data.threads": "dygenept.machine.threads",
    "dygenept.data_request": "dygenept.data.request",
    "dygenept.evaluation.gene_sets": "dygenept.types.gene_sets",
    "dygenept.evaluation.neighbours": "dygenept.evaluation.candidate_ranks",
    "dygenept.job_lock": "dygenept.machine.locks",
    "dygenept.knowledge.artefacts": "dygenept.knowledge.precompute.manifests",
    "dygenept.knowledge.controls": "dygenept.knowledge.facets.controls",
    "dygenept.knowledge.corpus": "dygenept.knowledge.genes.corpus",
    "dygenept.knowledge.embedding_cache": "dygenept.knowledge.store.embedding_cache",
    "dygenept.knowledge.enrichment": "dygenept.knowledge.graph.enrichment",
    "dygenept.knowledge.entrez": "dygenept.knowledge.genes.matching",
    "dygenept.knowledge.facet_files": "dygenept.knowledge.facets.texts",
    "dygenept.knowledge.facets": _TYPES,
    "dygenept.knowledge.formats": "dygenept.knowledge.store.formats",
    "dygenept.knowledge.gene_tables": "dygenept.knowledge.genes.tables",
    "dygenept.knowledge.graph": "dygenept.knowledge.graph.combined",
    "dygenept.knowledge.graph_cache": "dygenept.knowledge.graph.cache",
    "dygenept.knowledge.graph_files": "dygenept.knowledge.graph.files",
    "dygenept.knowledge.graph_source": "dygenept.knowledge.graph.file_source",
    "dygenept.knowledge.graph_tables": "dygenept.knowledge.graph.whole_graph",
    "dygenept.knowledge.imputation": "dygenept.knowledge.facets.imputation",
    "dygenept.knowledge.json_lines": "dygenept.machine.whole_files",
    "dygenept.knowledge.kg_choice": "dygenept.knowledge.graph.sources",
    "dygenept.knowledge.neighbours": "dygenept.knowledge.graph.combined",
    "dygenept.knowledge.origins": "dygenept.knowledge.facets.origins",
    "dygenept.knowledge.regeneration": "dygenept.knowledge.facets.regeneration",
    "dygenept.knowledge.store": "dygenept.knowledge.store.knowledge_files",
    "dygenept.knowledge.tensor": "dygenept.knowledge.precompute.tensor",
    "dygenept.machine": "dygenept.machine.versions_and_memory",
    "dygenept.plugin_faults": "dygenept.plugin.faults",
    "dygenept.plugin_manager": "dygenept.plugin.manager",
    "dygenept.requirements": "dygenept.plugin.configured",
    "dygenept.registry": "dygenept.plugin.registry",
    "dygenept.splits": "dygenept.data.splits",
    "dygenept.model.grids": "dygenept.model.ablations",
    "dygenept.model.training.tuning": "dygenept.model.training.precision",
    "dygenept.types.html": "dygenept.types.data",
    "dygenept.training": "dygenept.model.training",
    "dygenept.training.distributed": "dygenept.machine.processes",
    "dygenept.training.threads": "dygenept.machine.threads",
    "dygenept.validation": "dygenept.plugin.yaml_files",
    "dygenept.whole_files": "dygenept.machine.whole_files",
    "dygenept.data.prepare.batch_scaling": "dygenept.data.batches",
    "dygenept.data.reading.group_names": "dygenept.data.reading.labels",
    "dygenept.data.twins": "dygenept.data.reading.label_kinds",
    "dygenept.evaluation.effects": "dygenept.evaluation.effect_scoring",
    "dygenept.evaluation.gap": "dygenept.evaluation.comparison",
    "dygenept.evaluation.kept_draws": "dygenept.evaluation.bootstrap",
    "dygenept.knowledge.facets.selection": "dygenept.knowledge.genes.matching",
    "dygenept.knowledge.store.formats.detection": "dygenept.knowledge.store.knowledge_files",
    "dygenept.machine.addresses": "dygenept.machine.http_clients",
    "dygenept.machine.figures": "dygenept.machine.plain_text",
    "dygenept.machine.retries": "dygenept.machine.http_clients",
    "dygenept.model.effects.options": "dygenept.model.training.options",
    "dygenept.model.outputs": "dygenept.model.prediction",
    "dygenept.plugin.validation": "dygenept.plugin.yaml_files",
    "dygenept.runs.folder_board": "dygenept.leaderboard.board_key",
    "dygenept.runs.plan_document": "dygenept.runs.document",
    "dygenept.plugin.mapped": _PLUGIN,
    "dygenept_plugins.baselines.additive": "dygenept_plugins.baselines.means",
    "dygenept_plugins.baselines.effect_means": "dygenept_plugins.baselines.means",
    "dygenept_plugins.baselines.random_train": "dygenept_plugins.baselines.means",
    "dygenept_plugins.baselines.biolord": "dygenept_plugins.baselines.published",
    "dygenept_plugins.baselines.cellflow": "dygenept_plugins.baselines.published",
    "dygenept_plugins.baselines.gears": "dygenept_plugins.baselines.published",
    "dygenept_plugins.baselines.stamp": "dygenept_plugins.baselines.published",
    "dygenept_plugins.baselines.state": "dygenept_plugins.baselines.published",
    "dygenept_plugins.baselines.interpolated_duplicate": "dygenept_plugins.baselines.ceilings",
    "dygenept_plugins.baselines.shuffled": "dygenept_plugins.baselines.ceilings",
    "dygenept_plugins.baselines.technical_duplicate": "dygenept_plugins.baselines.ceilings",
    "dygenept_plugins.baselines.truth": "dygenept_plugins.baselines.ceilings",
    "dygenept_plugins.gene_encoders.facets_graph": "dygenept_plugins.gene_encoders.facets",
    "dygenept_plugins.splits.unseen_both": "dygenept_plugins.splits.cross_cell_type",
}


def new_home(error: BaseException) -> str | None:
    """Say where what an import did not find has moved to; None where nothing is known of it."""
    if not isinstance(error, ImportError) or error.name is None:
        return None
    parts = error.name.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    old = next((name for name in names if name in MOVED), None)
    if old is None:
        return None
    what = "what plugins need" if MOVED[old] in (_PLUGIN, _TYPES) else "it"
    return f"{old} has moved: import {what} from {MOVED[old]}"
