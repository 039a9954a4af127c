"""Builds, lists and removes environments; two runs never build the same one twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.errors import EnvironmentBuildError
from dygenept.plugin.isolated.environment import (
    MANIFEST,
    EnvironmentSpec,
    environment_digest,
    environments_folder,
    find_interpreter,
    python_of,
)
from dygenept.types import Progress, no_report

BUILD_TIMEOUT_S = 3600.0
TAIL_LINES = 6
# Set for every child, so that no package of the harness or of the user leaks into it.
REMOVED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class EnvironmentManifest(BaseModel):
    """What an environment contains; its presence says that the build was finished."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    requirements: tuple[str, ...]
    no_deps: tuple[str, ...]
    python: str
    platform: str
    packages: tuple[str, ...]
    created: str


@dataclass(frozen=True, slots=True)
class BuiltEnvironment:
    """An environment on disk."""

    digest: str
    path: Path
    manifest: EnvironmentManifest

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return python_of(self.path)


def find_environment(spec: EnvironmentSpec, cache_dir: Path) -> BuiltEnvironment | None:
    """Return a finished environment, or None where it was not built yet.

    Raises:
        EnvironmentBuildError: If no Python on this machine fits.
    """
    digest = environment_digest(spec, find_interpreter(spec))
    return _read(environments_folder(cache_dir) / digest)


def build_environment(
    spec: EnvironmentSpec,
    cache_dir: Path,
    report: Callable[[Progress], None] = no_report,
    *,
    name: str = "",
) -> BuiltEnvironment:
    """Return the environment, built where it is not there.

    It is built under a temporary name and renamed when it is whole, under a lock. ``name`` is what
    messages call it.

    Raises:
        EnvironmentBuildError: If no Python fits, pip fails, or the folder cannot be written; the
            end of pip's output is quoted.
    """
    interpreter = find_interpreter(spec)
    digest = environment_digest(spec, interpreter)
    folder = environments_folder(cache_dir)
    if (found := _read(folder / digest)) is not None:
        return found
    with _locked(folder, digest):
        # Another run may have built it while this one waited.
        if (found := _read(folder / digest)) is not None:
            return found
        _remove_leftovers(folder, digest)
        report(Progress("environment", 0, 1, f"building the environment of {name or digest}"))
        partial = Path(tempfile.mkdtemp(prefix=f".{digest}.", dir=folder))
        try:
            packages = _fill(partial, spec, interpreter.executable)
            manifest = EnvironmentManifest(
                requirements=spec.requirements,
                no_deps=spec.no_deps,
                python=interpreter.version,
                platform=sysconfig.get_platform(),
                packages=packages,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            (partial / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")
            shutil.rmtree(folder / digest, ignore_errors=True)
            partial.rename(folder / digest)
        except OSError as error:
            raise EnvironmentBuildError(
                f"cannot write the environment in {folder}: {error.strerror or error}"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        report(Progress("environment", 1, 1))
    return BuiltEnvironment(digest, folder / digest, manifest)


def list_environments(cache_dir: Path) -> tuple[BuiltEnvironment, ...]:
    """Return every finished environment, by digest."""
    folder = environments_folder(cache_dir)
    if not folder.is_dir():
        return ()
    found = (_read(path) for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return tuple(item for item in found if item is not None)


def broken_environments(cache_dir: Path) -> tuple[str, ...]:
    """Return the names of folders without a whole environment, as when its Python was removed."""
    folder = environments_folder(cache_dir)
    if not folder.is_dir():
        return ()
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return tuple(
        name for name in names if not name.startswith(".") and _read(folder / name) is None
    )


def remove_environment(digest: str, cache_dir: Path) -> bool:
    """Delete an environment, whole or broken; False if there was none."""
    folder = environments_folder(cache_dir)
    path = folder / digest
    if not path.is_dir():
        return False
    with _locked(folder, digest):
        _remove_leftovers(folder, digest)
        # Renamed first, so that no run finds half of it.
        doomed = Path(tempfile.mkdtemp(prefix=f".{digest}.", dir=folder))
        path.rename(doomed / digest)
        shutil.rmtree(doomed)
    return True


def clear_leftovers(cache_dir: Path) -> None:
    """Remove what killed builds left; what another run builds right now stays."""
    from filelock import FileLock, Timeout

    folder = environments_folder(cache_dir)
    if not folder.is_dir():
        return
    digests = {path.name.split(".")[1] for path in folder.glob(".*.*") if path.is_dir()}
    for digest in digests:
        with suppress(Timeout), FileLock(folder / f".{digest}.lock", timeout=0):
            _remove_leftovers(folder, digest)


def size_of(path: Path) -> int:
    """Bytes in a folder; links are not followed."""
    return sum(
        item.stat(follow_symlinks=False).st_size
        for item in path.rglob("*")
        if item.is_file() and not item.is_symlink()
    )


def child_environment(**extra: str) -> Mapping[str, str]:
    """Environment variables of a child: this process's, without what names its own packages."""
    kept = {key: value for key, value in os.environ.items() if key not in REMOVED_VARIABLES}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}


def _read(path: Path) -> BuiltEnvironment | None:
    manifest = path / MANIFEST
    if not manifest.is_file() or not python_of(path).exists():
        return None
    try:
        return BuiltEnvironment(
            path.name, path, EnvironmentManifest.model_validate_json(manifest.read_bytes())
        )
    except ValidationError:
        return None


def _fill(path: Path, spec: EnvironmentSpec, executable: str) -> tuple[str, ...]:
    needs_packages = bool(spec.requirements or spec.no_deps)
    uv = shutil.which("uv") if needs_packages else None
    options = [] if needs_packages and uv is None else ["--without-pip"]
    _run([executable, "-m", "venv", *options, str(path)], "python -m venv")
    if not needs_packages:
        return ()
    if uv is not None:
        return _fill_by_uv(path, spec, uv)
    pip = [str(python_of(path)), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "--retries", "2"]
    if spec.requirements:
        _run([*install, *spec.requirements], "pip install")
    if spec.no_deps:
        _run([*install, "--no-deps", *spec.no_deps], "pip install --no-deps")
    return tuple(_run([*pip, "freeze"], "pip freeze").splitlines())


def _fill_by_uv(path: Path, spec: EnvironmentSpec, uv: str) -> tuple[str, ...]:
    """Install with uv, which is faster and shares files between environments."""
    where = ["--python", str(python_of(path))]
    install = [uv, "pip", "install", "--no-progress", *where]
    if spec.requirements:
        _run([*install, *spec.requirements], "uv pip install")
    if spec.no_deps:
        _run([*install, "--no-deps", *spec.no_deps], "uv pip install --no-deps")
    return tuple(_run([uv, "pip", "freeze", *where], "uv pip freeze").splitlines())


def _run(command: Sequence[str], title: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=BUILD_TIMEOUT_S,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentBuildError(
            f"{title} took longer than {BUILD_TIMEOUT_S:.0f} s and was stopped"
        ) from error
    if done.returncode != 0:
        raise EnvironmentBuildError(
            f"{title} failed with exit code {done.returncode} (is there a network, or a package "
            f"index in pip's configuration?): {_gist(done.stderr or done.stdout)}"
        )
    return done.stdout


def _gist(output: str) -> str:
    """Return pip's errors, which stand among warnings about every try; else the last lines."""
    lines = output.strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR")]
    return " | ".join((errors or lines)[-TAIL_LINES:])


def _remove_leftovers(folder: Path, digest: str) -> None:
    """Remove what a killed build or removal left; whoever has the lock is the only one."""
    for path in folder.glob(f".{digest}.*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(folder: Path, digest: str) -> Iterator[None]:
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{digest}.lock"):
        yield
