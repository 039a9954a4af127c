"""What passes between rooms is a typed record; exceptions are named here, each with its reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Packages by where they are in the checkout.
PACKAGES = {"dygenept": "", "dygenept_plugins": "plugins", "dygenept_cli": "cli"}
UNTYPED = re.compile(r"\b(?:dict|Mapping)\[str, (?:object|Any)\]|\bJsonDocument\b")

EXCEPTIONS = {
    "options of a plugin, as the user gave them; the plugin's own configuration validates them": (
        "dygenept.data.catalog.DatasetEntry.options",
        "dygenept.knowledge.catalog.FacetSetEntry.encoder_options",
        "dygenept.knowledge.catalog.FacetSetEntry.writer_options",
        "dygenept.knowledge.graph.sources.KgChoice.imputation",
        "dygenept.knowledge.graph.sources.KgChoice.sources",
        "dygenept.knowledge.graph.sources.graphs_of",
        "dygenept.knowledge.precompute.request.PrecomputeConfig.encoder",
        "dygenept.knowledge.precompute.request.PrecomputeConfig.writer",
        "dygenept.plugin.configured.with_data_folder",
        "dygenept.plugin.environment.Environment.configured",
        "dygenept.plugin.isolated.model.IsolatedProgram.options",
        "dygenept.plugin.manager.PluginManager.configure",
        "dygenept.plugin.specs.CellEncoderSpec.embed_options",
        "dygenept.plugin.specs.PluginSpec.check_options",
        "dygenept.runs.embed.EmbedRequest.options",
        "dygenept.runs.prepare.FoldChoice.options",
        "dygenept.runs.run_context.RunRequest.split_options",
        "dygenept.runs.suites.Suite.split_options",
    ),
    "an assembly as YAML and flags say it; Assembly.of makes a typed one of it": (
        "dygenept.model.assembly_text.AssemblyText.attention",
        "dygenept.model.assembly_text.AssemblyText.cell_encoder",
        "dygenept.model.assembly_text.AssemblyText.decoder",
        "dygenept.model.assembly_text.AssemblyText.gene_encoder",
        "dygenept.model.assembly_text.AssemblyText.imputation",
        "dygenept.model.assembly_text.AssemblyText.kg",
        "dygenept.model.assembly_text.AssemblyText.part",
        "dygenept.model.assembly_text.AssemblyText.table",
        "dygenept.model.assembly_text.AssemblyText.training",
        "dygenept.model.original_names.todays_document",
        "dygenept.model.overrides.Overrides.document",
        "dygenept.model.overrides.from_dotlist",
    ),
    "YAML as it was read; each room validates its own entries": (
        "dygenept.plugin.registry.Registry.assets",
        "dygenept.plugin.registry.Registry.collections",
        "dygenept.plugin.registry.Registry.datasets",
        "dygenept.plugin.registry.Registry.facets",
        "dygenept.plugin.registry.Registry.models",
        "dygenept.plugin.registry.merge",
        "dygenept.plugin.yaml_files.read_yaml",
    ),
    "a line of a file of JSON lines": (
        "dygenept.machine.whole_files.read_lines",
        "dygenept.machine.whole_files.write_lines",
    ),
    "a configuration as records keep it and hash it: its keys are those of the plugins": (
        "dygenept.knowledge.graph.sources.KgChoice.record",
        "dygenept.model.assembly.Assembly.complete_config",
        "dygenept.model.resolve.ResolvedModel.config",
        "dygenept.model.resolve.ResolvedModel.from_submission",
        "dygenept.plugin.configured.ConfiguredPlugin.document",
        "dygenept.results.records.RunRecord.config",
        "dygenept.results.store.key_of",
    ),
    "JSON that a command or a page shows, made of a typed record as the last step": (
        "dygenept.data.prepare.documents.Manifest.options",
        "dygenept.leaderboard.boards.Board.document",
        "dygenept.leaderboard.boards.Board.origin",
        "dygenept.leaderboard.columns.Layout.document",
        "dygenept.leaderboard.comparisons.ComparisonRow.document",
        "dygenept.leaderboard.comparisons.RankRow.document",
        "dygenept.leaderboard.metric_audit.AuditRow.document",
        "dygenept.leaderboard.published.FigureCheck.document",
        "dygenept.leaderboard.published.PublishedRow.document",
        "dygenept.leaderboard.rows.LeaderboardRow.document",
        "dygenept.leaderboard.saturation.Saturation.document",
        "dygenept.reports.per_perturbation.ShownPerturbation.document",
        "dygenept.runs.document.bench_document",
        "dygenept.runs.document.plan_document",
    ),
}
EXCEPTED = [name for names in EXCEPTIONS.values() for name in names]


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the packages, parsed, by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in (ROOT / folder / package).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text("utf-8"))
    return found


def room_of(module: str) -> str:
    """Return the room of the core that a module is in, or its package."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "dygenept" else parts[0]


def imported_elsewhere() -> set[str]:
    """Name what a room imports of another one, as ``module.name``."""
    return {
        f"{node.module}.{alias.name}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        if room_of(node.module) != room_of(module)
        for alias in node.names
    }


def imports_whole_modules() -> set[str]:
    """Name modules that a room imports of another one whole: all that is public in them counts."""
    return imported_elsewhere() & set(modules())


def annotations(node: ast.FunctionDef | ast.AnnAssign) -> str:
    """Return all annotations of a function or an attribute as one text."""
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation)
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    found = [item.annotation for item in arguments if item.annotation]
    return ", ".join(
        ast.unparse(item) for item in [*found, *([node.returns] if node.returns else [])]
    )


def untyped(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield public functions, methods and attributes with such a dict: owner and full name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and UNTYPED.search(annotations(node)):
            yield node.name, f"{module}.{node.name}"
        for member in node.body if isinstance(node, ast.ClassDef) else ():
            if not isinstance(member, ast.FunctionDef | ast.AnnAssign):
                continue
            called = (
                member.name if isinstance(member, ast.FunctionDef) else ast.unparse(member.target)
            )
            if not called.startswith("_") and UNTYPED.search(annotations(member)):
                assert isinstance(node, ast.ClassDef)
                yield node.name, f"{module}.{node.name}.{called}"


def between_rooms() -> set[str]:
    """Name what other rooms import of a room of the core and what takes or returns such a dict."""
    named, whole = imported_elsewhere(), imports_whole_modules()
    return {
        full
        for module, tree in modules().items()
        if room_of(module).startswith("dygenept.")
        for owner, full in untyped(module, tree)
        if not owner.startswith("_") and (f"{module}.{owner}" in named or module in whole)
    }


def test_no_dict_of_anything_passes_between_rooms() -> None:
    assert sorted(between_rooms() - set(EXCEPTED)) == []


def test_every_exception_is_still_one() -> None:
    assert sorted(set(EXCEPTED) - between_rooms()) == []
    assert len(set(EXCEPTED)) == len(EXCEPTED)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def made() -> dict[str, object]: ...", ["room.made"]),
        ("def taken(*, options: Mapping[str, Any] | None) -> None: ...", ["room.taken"]),
        (
            "class Kept:\n    rows: list[Mapping[str, object]]\n    _own: dict[str, Any]",
            ["room.Kept.rows"],
        ),
        ("class Row:\n    def document(self) -> JsonDocument: ...", ["room.Row.document"]),
        ("def made() -> dict[str, int]: ...", []),
    ],
)
def test_such_a_dict_is_found_wherever_it_stands(source: str, found: list[str]) -> None:
    assert [full for _, full in untyped("room", ast.parse(source))] == found


def test_every_room_is_looked_at() -> None:
    rooms = {room_of(module) for module in modules()}
    assert {"dygenept.data", "dygenept.runs", "dygenept_cli", "dygenept_plugins"} <= rooms
    assert "dygenept.results.records.RunRecord" in imported_elsewhere()
