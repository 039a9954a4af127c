"""A look at this machine: what works, what does not, and what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from dygenept.data.catalog import dataset_entries, source_of
from dygenept.errors import DygeneptError
from dygenept.model.assembly import is_baseline, named_assembly
from dygenept.model.baselines import configured_baseline
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import PluginSpec

Status = Literal["ok", "note", "problem"]
LOW_DISK_BYTES = 5_000_000_000
NETWORK_HOST = "https://dataverse.harvard.edu"
NETWORK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        area: What was looked at: python, packages, device, plugins, data, cache, models, network.
        name: Which of these.
        status: ``ok``; ``note`` for what is merely absent; ``problem`` for what should be mended.
        detail: What was found, and how to mend it.
    """

    area: str
    name: str
    status: Status
    detail: str


def diagnose(environment: Environment, *, network: bool) -> tuple[Check, ...]:
    """Look at everything that a run needs.

    Args:
        environment: Registry, plugins and folders.
        network: Also try to reach the host of the published data sets.
    """
    return (
        *_python(),
        *_packages(),
        *_device(),
        *_plugins(environment.manager),
        *_folders(environment),
        *_datasets(environment),
        *_models(environment),
        *(_network() if network else ()),
    )


def _python() -> Iterator[Check]:
    yield Check("python", "python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Check("python", "system", "ok", f"{platform.platform()}, {os.cpu_count()} CPUs")


def _packages() -> Iterator[Check]:
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in metadata.requires("dygenept") or ()]
    except metadata.PackageNotFoundError:
        yield Check(
            "packages", "dygenept", "note", "not installed, run from a checkout; nothing to compare"
        )
        return
    yield Check("packages", "dygenept", "ok", metadata.version("dygenept"))
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            detail = f"missing; pip install '{requirement}'"
            yield Check("packages", requirement.name, "problem", detail)
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        detail = found if fits else f"{found} does not fit; pip install '{requirement}'"
        yield Check("packages", requirement.name, "ok" if fits else "problem", detail)


def _device() -> Iterator[Check]:
    import torch

    yield Check("device", "torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    n_devices = torch.cuda.device_count()
    if not n_devices:
        yield Check("device", "cuda", "note", "no CUDA device; models train on the CPU")
    for index in range(n_devices):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        detail = f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        yield Check("device", f"cuda:{index}", "ok", detail)


def _plugins(manager: PluginManager) -> Iterator[Check]:
    n_plugins = sum(len(manager.specs(kind)) for kind in PluginSpec.__subclasses__())
    yield Check("plugins", "loaded", "ok", f"{n_plugins} plugins")
    for name, reason in manager.failures.items():
        yield Check("plugins", name, "problem", f"left out, it failed to import: {reason}")


def _folders(environment: Environment) -> Iterator[Check]:
    for area, folder, variable in (
        ("data", environment.data_dir, "DYGENEPT_DATA"),
        ("cache", environment.cache_dir, "DYGENEPT_HOME"),
    ):
        parent = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(parent).free
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        status: Status = "ok"
        advice = ""
        if not os.access(parent, os.W_OK):
            status, advice = "problem", f"; cannot be written, set {variable} to another folder"
        elif free < LOW_DISK_BYTES:
            status, advice = "problem", f"; little space is left, set {variable} to another disk"
        detail = f"{folder}: {size / 1e6:,.0f} MB used, {free / 1e9:,.1f} GB free{advice}"
        yield Check(area, "folder", status, detail)


def _datasets(environment: Environment) -> Iterator[Check]:
    for name, entry in dataset_entries(environment).items():
        try:
            source = source_of(name, entry, manager=environment.manager)
            status = source.status(environment.data_dir)
        except DygeneptError as error:
            yield Check("data", name, "problem", str(error))
            continue
        yield Check("data", name, "ok" if status.is_present else "note", status.detail)


def _models(environment: Environment) -> Iterator[Check]:
    for name in environment.registry.models:
        try:
            missing = _missing(name, environment)
        except DygeneptError as error:
            yield Check("models", name, "problem", str(error))
            continue
        detail = "; ".join(missing) or "all that it needs is here"
        yield Check("models", name, "note" if missing else "ok", detail)


def _missing(name: str, environment: Environment) -> tuple[str, ...]:
    if not is_baseline(name, environment):
        assembly, _ = named_assembly(name, environment)
        return assembly.missing(environment)
    lacks = configured_baseline(name, environment).plugin.missing()
    return () if lacks is None else (lacks,)


def _network() -> Iterator[Check]:
    import httpx2

    from dygenept.machine.http_clients import proxy_fault

    try:
        answer = httpx2.head(NETWORK_HOST, timeout=NETWORK_SECONDS, follow_redirects=True)
    except (ImportError, ValueError) as error:
        yield Check("network", NETWORK_HOST, "problem", str(proxy_fault(error)))
        return
    except httpx2.HTTPError as error:
        detail = f"cannot be reached ({type(error).__name__}); fetch files by hand, see data info"
        yield Check("network", NETWORK_HOST, "problem", detail)
        return
    yield Check("network", NETWORK_HOST, "ok", f"answers with status {answer.status_code}")
