"""A trained model in a folder: weights by the model itself, and a manifest that says what it is."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.data.splits import SplitManifest
from dygenept.errors import DataError, DataUnavailableError
from dygenept.machine.reading import reading
from dygenept.model.assembly import Assembly
from dygenept.model.assembly_text import AssemblyText
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.environment import Environment
from dygenept.results.provenance import CodeRecord, DatasetRecord, PluginRecord
from dygenept.results.store import key_of, write_atomically
from dygenept.types import Runtime

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel

logger = logging.getLogger(__name__)

FILE_NAME = "dygenept.json"


class SavedModel(BaseModel):
    """What ``dygenept train`` writes beside the weights.

    Attributes:
        schema_version: Version of this document.
        model: Shown name.
        base_model: Registered name.
        config: The whole assembly.
        dataset: What it was trained on.
        split: The folds; only ``fold`` of them was trained on.
        fold: Position of the fold.
        seed: Seed of the split.
        suite: Suite that seeds are derived from.
        plugins: Provenance of the parts.
        code: Which code of the project trained it; None in files of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    model: str
    base_model: str
    config: AssemblyText
    dataset: DatasetRecord
    split: SplitManifest
    fold: int
    seed: int
    suite: str
    plugins: tuple[PluginRecord, ...]
    code: CodeRecord | None = None

    def trained_by(self, model: ResolvedModel) -> str:
        """Return a hash of the code that trained it; empty where that is the present code.

        Args:
            model: The same assembly of present plugins.
        """
        then = None if self.code is None else self.code.sha256
        now = tuple(map(PluginRecord.of, model.plugins))
        if then == project_code().sha256 and self.plugins == now:
            return ""
        return key_of({"code": then, "plugins": [of.model_dump() for of in self.plugins]})

    def other_code(self, model: ResolvedModel) -> str:
        """Say which code trained it that is not the present; empty where that is not recorded.

        Args:
            model: The same assembly of present plugins.
        """
        code = self.code
        said = [] if code is None or code.sha256 == project_code().sha256 else [code.words]
        now = tuple(map(PluginRecord.of, model.plugins))
        said += [
            f"plugin {of.name}, code {of.code_sha256[:12]}"
            for of in self.plugins
            if of.code_sha256 and of not in now
        ]
        return "; ".join(said)


def save_model(model: DyGenePTModel, manifest: SavedModel, directory: Path) -> None:
    """Write weights and manifest; the manifest last, so that a folder with one is whole."""
    model.save(directory)
    write_atomically(directory / FILE_NAME, (manifest.model_dump_json(indent=1) + "\n").encode())


def read_saved_model(directory: Path) -> SavedModel:
    """Read the manifest in a folder.

    Raises:
        DataUnavailableError: If there is no trained model.
        DataError: If its manifest is damaged.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise DataUnavailableError(
            f"no trained model in {directory} ({FILE_NAME} is missing); write one with "
            f"`dygenept train --dataset NAME --output {directory}`"
        )
    try:
        return SavedModel.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(f"{path} is damaged ({where}: {first['msg'].lower()}); train again") from (
            error
        )


def resolved_model(manifest: SavedModel, environment: Environment) -> ResolvedModel:
    """Resolve the assembly that a manifest describes, as a benchmark resolves it by name.

    What other code trained has a key of its own (``ResolvedModel.trained_by``), and a name: on a
    leaderboard it would stand for a fold of the model that the present code trains.

    Raises:
        ConfigError: If a plugin's options have changed since.
        PluginError: If a plugin is not installed.
    """
    model = ResolvedModel.from_assembly(
        Assembly.of(manifest.config, environment),
        environment,
        name=manifest.model,
        base=manifest.base_model,
    )
    trained_by = manifest.trained_by(model)
    name = f"{model.name} (other code {trained_by[:8]})" if trained_by else model.name
    return replace(model, name=name, trained_by=trained_by)


def load_model(
    directory: Path, environment: Environment, runtime: Runtime
) -> tuple[DyGenePTModel, SavedModel]:
    """Read a trained model and its manifest; a warning says where other code trained it.

    Raises:
        DygeneptError: If the folder contains none, or its parts' plugins are not installed.
    """
    from dygenept.model.estimator import DyGenePTModel

    manifest = read_saved_model(directory)
    with reading(directory, "a trained model", mend="train it again"):
        assembly = Assembly.of(manifest.config, environment)
        model = DyGenePTModel.load(
            directory,
            parts=assembly.network_parts(),
            knowledge=assembly.knowledge(environment),
            runtime=runtime,
            of_table=assembly.table_parts(environment),
        )
    resolved = resolved_model(manifest, environment)
    if resolved.trained_by:
        then = manifest.other_code(resolved)
        logger.warning(
            "%s was trained by other code%s than the present: its predictions may differ from what "
            "they were then; train it again to be sure",
            directory,
            f" ({then})" if then else "",
        )
    return model, manifest
