"""Options that say which registries, plugins, folders and device a command works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment


DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder of data sets [default: $DYGENEPT_DATA, else a folder in your home].",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFlags:
    """Registries and plugins beside the bundled ones."""

    panel: ClassVar[str] = "Plugins, folders and device"

    registry: list[Path] | None = flag(
        "Registry merged over the bundled one; may be given several times.", metavar="FILE"
    )
    plugin: list[Path] | None = flag(
        "Python file with plugins; may be given several times.", metavar="FILE"
    )

    def environment(self) -> Environment:
        """Load registries and plugins; a plugin that fails to import is named on stderr."""
        return _load(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFlags(PluginFlags):
    """Registries and plugins, and where data are."""

    panel: ClassVar[str] = "Plugins, folders and device"

    data_dir: DataDirOption = None

    def environment(self) -> Environment:
        """Load registries and plugins, with this folder of data sets."""
        return _load(self, data_dir=self.data_dir)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFlags(DataFlags):
    """Registries and plugins, where data are, and what computes."""

    panel: ClassVar[str] = "Plugins, folders and device"

    device: str = flag("Device: auto, cpu, cuda or cuda:N.", default="auto")

    def environment(self) -> Environment:
        """Load registries and plugins, with this folder of data sets and this device."""
        return _load(self, data_dir=self.data_dir, device=self.device)


def _load(flags: PluginFlags, *, data_dir: Path | None = None, device: str = "auto") -> Environment:
    from dygenept.plugin.environment import Environment

    return Environment.load(
        tuple(flags.registry or ()), tuple(flags.plugin or ()), data_dir=data_dir, device=device
    )
