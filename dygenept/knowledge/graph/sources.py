"""Which knowledge graphs inform a facet set, with which options; opens and joins them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from dygenept.errors import ConfigError, DataError, DataUnavailableError, nearest
from dygenept.knowledge.graph.combined import CombinedGraph
from dygenept.knowledge.graph.joining import combine_graphs
from dygenept.plugin.configured import with_data_folder
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import KnowledgeGraph
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import KgSourceSpec, PluginConfig
from dygenept.plugin.yaml_files import validated
from dygenept.types import Runtime

logger = logging.getLogger(__name__)


class ImputationOptions(BaseModel):
    """Options of imputation; the registry's and the command line's ``imputation`` section.

    Attributes:
        num_rounds: Rounds; a value imputed in one is used from the next on.
        confidence_cap: Largest confidence of an imputed value before the decay of 0.7 a round.
        max_neighbors: Strongest informed neighbours that count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_rounds: int = Field(default=3, ge=0, le=100)
    confidence_cap: float = Field(default=0.8, gt=0, le=1)
    max_neighbors: int = Field(default=20, ge=1)


@dataclass(frozen=True, slots=True)
class KgChoice:
    """Knowledge graphs and how to impute from them; none means that nothing is imputed.

    Attributes:
        sources: Options by plugin name, in the order asked for.
        imputation: Options of the imputation that differ from their defaults.
    """

    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    imputation: Mapping[str, object] = field(default_factory=dict)

    def imputation_options(self) -> ImputationOptions:
        """Validate the options of the imputation.

        Raises:
            ConfigError: If a key is unknown or a value not allowed.
        """
        return validated(ImputationOptions, dict(self.imputation), "imputation")

    def identities(self, manager: PluginManager, runtime: Runtime) -> dict[str, str]:
        """Return the identity of each graph: its files by hash, and its options.

        Raises:
            DataUnavailableError: If a graph's file is not there.
            PluginError: If a plugin is unknown.
        """
        self.require(manager, runtime)
        return {
            f"kg.{spec.name}": spec.factory(config).identity
            for spec, config in self._configured(manager, runtime)
        }

    def open(self, genes: Sequence[str], manager: PluginManager, runtime: Runtime) -> CombinedGraph:
        """Return the joined graph of exactly these genes, in their order.

        A gene without an edge has an empty row; of equal weights the source named first wins.

        Args:
            genes: Genes of the graph; repeated ones count once.
            manager: Finds the sources.
            runtime: Progress, the data folder, and ``cache_dir`` for what is read.

        Raises:
            ConfigError: If an option is not allowed.
            DataUnavailableError: If a graph's file is not there.
            DataError: If a file cannot be read.
            PluginError: If a source is unknown or breaks its contract.
        """
        self.require(manager, runtime)
        asked = tuple(dict.fromkeys(genes))
        graphs: dict[str, KnowledgeGraph] = {}
        for spec, config in self._configured(manager, runtime):
            with plugin_code(f"knowledge graph {spec.name!r}"):
                graph = spec.factory(config).graph(asked, runtime)
            check_has_edges(spec.name, graph)
            if graph.report is not None:
                is_idle = asked and not graph.report.n_edges_kept
                logger.log(logging.WARNING if is_idle else logging.INFO, graph.report.sentence)
            graphs[spec.name] = graph
        return combine_graphs(graphs, genes=asked)

    def missing(self, manager: PluginManager, runtime: Runtime) -> tuple[str, ...]:
        """Say which graphs' files are not on this machine, one sentence each.

        Raises:
            ConfigError: If an option is unknown.
            PluginError: If a plugin is unknown.
        """
        missing = []
        for spec, config in self._configured(manager, runtime):
            # All of them, not just the first: a user fetches every file in one go.
            reason = None if spec.missing is None else spec.missing(config)
            if reason is not None:
                missing.append(reason)
        return tuple(missing)

    def require(self, manager: PluginManager, runtime: Runtime) -> None:
        """Refuse to go on where a graph's file is missing.

        Raises:
            DataUnavailableError: As said; every such file is named.
        """
        missing = self.missing(manager, runtime)
        if missing:
            raise DataUnavailableError("; ".join(missing))

    def record(self) -> dict[str, object]:
        """Return what a knowledge file records of its imputation."""
        return {
            "kg": {name: dict(options) for name, options in self.sources.items()},
            "imputation": self.imputation_options().model_dump(),
        }

    def is_covered_by(self, record: object) -> bool:
        """True if a file's record says that it was imputed from these graphs in this way.

        An option of a graph that is not given here may be anything there.
        """
        if not isinstance(record, Mapping):
            return False
        kg = record.get("kg")
        if not isinstance(kg, Mapping) or set(kg) != set(self.sources):
            return False
        # Defaults are not recorded: an option that is not given here cannot contradict the file.
        same_options = all(
            all(kg[name].get(key) == value for key, value in options.items())
            for name, options in self.sources.items()
        )
        return same_options and record.get("imputation") == self.imputation_options().model_dump()

    def _configured(
        self, manager: PluginManager, runtime: Runtime
    ) -> Iterator[tuple[KgSourceSpec, PluginConfig]]:
        for name, options in self.sources.items():
            spec = manager.get(KgSourceSpec, name)
            given = with_data_folder(spec, options, runtime.data_dir)
            yield spec, manager.configure(spec, given)


NO_KG = KgChoice()


def check_has_edges(name: str, graph: KnowledgeGraph) -> None:
    """Refuse a graph without edges: results with it would bear its name and know nothing of it.

    Raises:
        DataError: As said, where the source reports its edges.
    """
    report = graph.report
    if report is None or report.n_edges:
        return
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.items())
    raise DataError(
        f"the knowledge graph {name!r} has no edges: {report.n_records:,} records in "
        f"{', '.join(report.files) or 'its tables'}, left out: {dropped or 'none'}; give another "
        f"file, or loosen the options that `dygenept plugins show {name}` lists"
    )


def kg_names(text: str) -> tuple[str, ...]:
    """Read the names of knowledge graphs: ``string,go``; ``none`` names none.

    Raises:
        ConfigError: If a name is empty.
    """
    if text.strip().lower() == "none":
        return ()
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise ConfigError(f"--kg {text!r} must look like string,go; or none")
    return tuple(dict.fromkeys(names))


def check_graph_options(options: object, graphs: object) -> None:
    """Refuse options of a knowledge graph that is not among those in use.

    Raises:
        ConfigError: As said.
    """
    known = graphs if isinstance(graphs, Mapping) else {}
    # What is not a mapping is refused by ``graphs_of``, which names the value.
    if isinstance(options, Mapping):
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"kg.{name} is set, but {name!r} is not among the knowledge graphs in use; "
                    f"{nearest(str(name), known)}; add it to --kg"
                )


def graphs_of(value: object) -> dict[str, Mapping[str, object]]:
    """Read knowledge graphs: options by name, a list of names, or ``string,go``.

    Raises:
        ConfigError: If it is none of these.
    """
    if isinstance(value, str):
        value = kg_names(value)
    if isinstance(value, list | tuple):
        return {str(name): {} for name in value}
    if isinstance(value, Mapping) and all(isinstance(of, Mapping) for of in value.values()):
        return {str(name): dict(of) for name, of in value.items()}
    raise ConfigError(
        f"kg must be a list of knowledge graphs or a mapping of their options, got {value!r}"
    )
