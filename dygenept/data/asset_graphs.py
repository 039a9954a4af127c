"""Assets that are the files of a knowledge graph: what they must contain beside their formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dygenept.knowledge.graph.file_source import FileGraphSource
from dygenept.knowledge.graph.sources import check_has_edges
from dygenept.plugin.configured import DATA_DIR_OPTION
from dygenept.plugin.environment import Environment
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.specs import KgSourceSpec, PluginConfig
from dygenept.types import Runtime


@dataclass(frozen=True, slots=True)
class AssetGraph:
    """The knowledge graph that reads an asset.

    Attributes:
        spec: Its plugin.
        config: Its options, with the data folder.
    """

    spec: KgSourceSpec
    config: PluginConfig

    def check_file(self, path: Path) -> None:
        """Refuse a file of no layout that the graph reads.

        Raises:
            DataError: As said, as the rest of a sentence on the file.
        """
        source = self.spec.factory(self.config)
        if isinstance(source, FileGraphSource):
            source.check_layout(path)

    def check(self, runtime: Runtime) -> None:
        """Read the graph.

        Raises:
            DataError: If it cannot be read or has no edge.
        """
        with plugin_code(f"knowledge graph {self.spec.name!r}"):
            graph = self.spec.factory(self.config).graph((), runtime)
        check_has_edges(self.spec.name, graph)


def graph_of_asset(name: str, folder: Path, environment: Environment) -> AssetGraph | None:
    """Return the knowledge graph of an asset's name that reads its folder; None without one."""
    manager = environment.manager
    if name not in manager.names(KgSourceSpec.kind):
        return None
    spec = manager.get(KgSourceSpec, name)
    if DATA_DIR_OPTION not in spec.config.model_fields:
        return None
    config = manager.configure(spec, {DATA_DIR_OPTION: str(environment.data_dir)})
    source = spec.factory(config)
    if isinstance(source, FileGraphSource) and source.path != folder:
        return None
    return AssetGraph(spec, config)
