"""Options that change assembled models and the knowledge graphs that they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dygenept.errors import ConfigError
from dygenept_cli.flags import options
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.knowledge.graph.sources import KgChoice
    from dygenept.model.overrides import Overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFlags:
    """Changes to every assembled model of a run."""

    panel: ClassVar[str] = "Changes to assembled models"

    facets: str | None = flag("Swap the facet set: a name, or a knowledge file.", metavar="X|FILE")
    attention: str | None = flag("Swap the attention.", metavar="X")
    kg: options.KgOption = None
    config: Path | None = flag("YAML file merged into every assembled model.", metavar="FILE")
    set_: list[str] | None = flag(
        "Set an option of every assembled model, such as training.lr=5e-5, or of one model, such "
        "as ridge.embedding=go_minilm; may be given several times.",
        metavar="KEY=VALUE",
    )

    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="The same as --set KEY=VALUE.",
            show_default=False,
        ),
    ] = None

    def parts(self) -> dict[str, str | None]:
        """Return the plugins to swap in, by section; None keeps an assembly's own."""
        return {"attention": self.attention}

    @property
    def sets(self) -> tuple[str, ...]:
        """What ``--set`` and bare ``KEY=VALUE`` words say, in today's words.

        Raises:
            ConfigError: If a bare word is no option.
        """
        from dygenept.model.original_names import todays_set

        for word in self.pairs or ():
            if "=" not in word:
                raise ConfigError(
                    f"unexpected argument {word!r}; only options of a model stand bare, as "
                    "KEY=VALUE, such as training.lr=5e-5"
                )
        return tuple(map(todays_set, (*(self.set_ or ()), *(self.pairs or ()))))

    def document(self) -> tuple[dict[str, object] | None, str | None]:
        """Read ``--config`` in today's words, and the data set that it names, if any."""
        if self.config is None:
            return None, None
        from dygenept.model.original_names import todays_document
        from dygenept.plugin.yaml_files import read_yaml

        return todays_document(read_yaml(self.config))

    def overrides(self) -> Overrides:
        """Collect what the flags change in assembled models."""
        from dygenept.knowledge.graph.sources import kg_names
        from dygenept.model.overrides import Overrides

        return Overrides(
            parts={section: name for section, name in self.parts().items() if name is not None},
            facets=self.facets,
            kg=None if self.kg is None else kg_names(self.kg),
            document=self.document()[0],
            sets=self.sets,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyFlags(ModelFlags):
    """Changes to every assembled model of a run, with each of its parts."""

    panel: ClassVar[str] = "Changes to assembled models"

    gene_encoder: str | None = flag("Swap the gene encoder.", metavar="X")
    cell_encoder: str | None = flag("Swap the cell encoder.", metavar="X")
    decoder: str | None = flag("Swap the decoder.", metavar="X")

    def parts(self) -> dict[str, str | None]:
        """Return the plugins to swap in, by section; None keeps an assembly's own."""
        return {
            "gene_encoder": self.gene_encoder,
            "cell_encoder": self.cell_encoder,
            "attention": self.attention,
            "decoder": self.decoder,
        }


def graph_choice(
    kg: str | None, sets: Sequence[str] | None, base: Mapping[str, object] | None = None
) -> KgChoice:
    """Collect the knowledge graphs, their options, and those of the imputation.

    Args:
        kg: Names, as ``--kg`` has them.
        sets: ``key=value`` settings; all but ``kg.…`` and ``imputation.…`` are ignored.
        base: A document with ``kg`` and ``imputation`` that the flags change.
    """
    from dygenept.knowledge.graph.sources import KgChoice, check_graph_options, graphs_of, kg_names
    from dygenept.model.overrides import from_dotlist
    from dygenept.plugin.registry import merge

    document = dict(base or {})
    graphs = graphs_of(document.get("kg", {}))
    if kg is not None:
        graphs = {name: graphs.get(name, {}) for name in kg_names(kg)}
    changes = from_dotlist(tuple(sets or ()))
    check_graph_options(changes.get("kg"), graphs)
    graphs = graphs_of(merge(graphs, graphs_of(changes.get("kg", {}))))
    imputation: dict[str, object] = {}
    for one in (document, changes):
        section = one.get("imputation", {})
        if not isinstance(section, Mapping):
            raise ConfigError(f"imputation must be a mapping of options, got {section!r}")
        imputation |= {str(key): value for key, value in section.items()}
    return KgChoice(graphs, imputation)
