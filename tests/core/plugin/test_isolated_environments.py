"""Environments of isolated models: built once, found again, and refused by name."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from core.plugin.small_children import BARE

from dygenept.errors import EnvironmentBuildError
from dygenept.plugin.isolated.building import (
    build_environment,
    find_environment,
    list_environments,
    remove_environment,
)
from dygenept.plugin.isolated.environment import (
    EnvironmentSpec,
    Interpreter,
    environment_digest,
    find_interpreter,
)
from dygenept.types import Progress


def test_an_environment_is_built_once_and_found_again(tmp_path: Path) -> None:
    assert find_environment(BARE, tmp_path) is None
    reports: list[Progress] = []
    threads = [
        threading.Thread(target=build_environment, args=(BARE, tmp_path, reports.append))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("building" in report.message for report in reports) == 1
    found = find_environment(BARE, tmp_path)
    assert found is not None
    assert [item.digest for item in list_environments(tmp_path)] == [found.digest]
    visible = [path.name for path in (tmp_path / "environments").iterdir()]
    assert sorted(visible) == [f".{found.digest}.lock", found.digest]
    assert remove_environment(found.digest, tmp_path)
    assert not remove_environment(found.digest, tmp_path)
    assert find_environment(BARE, tmp_path) is None


def test_half_an_environment_is_built_anew(tmp_path: Path) -> None:
    built = build_environment(BARE, tmp_path)
    (built.path / "dygenept-environment.json").unlink()
    assert find_environment(BARE, tmp_path) is None
    assert build_environment(BARE, tmp_path).python.exists()


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    digest = environment_digest(BARE, find_interpreter(BARE))
    left = tmp_path / "environments" / f".{digest}.k1ll3d" / "bin"
    left.mkdir(parents=True)
    built = build_environment(BARE, tmp_path)
    assert [path for path in built.path.parent.iterdir() if path.is_dir()] == [built.path]


def test_requirements_python_and_platform_decide_the_name() -> None:
    here = find_interpreter(BARE)
    digests = {
        environment_digest(BARE, here),
        environment_digest(BARE, Interpreter("python", "3.8.1")),
        environment_digest(EnvironmentSpec(requirements=("a==1",)), here),
        environment_digest(EnvironmentSpec(no_deps=("a==1",)), here),
    }
    assert len(digests) == 4
    assert environment_digest(EnvironmentSpec(python=">=3.10"), here) in digests


def test_a_python_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"needs Python <3\.0.*PATH"):
        build_environment(EnvironmentSpec(python="<3.0"), tmp_path)


def test_a_constraint_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match="constraint 'three' cannot be read"):
        build_environment(EnvironmentSpec(python="three"), tmp_path)


@pytest.mark.slow
def test_a_package_that_cannot_be_had_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    spec = EnvironmentSpec(requirements=("dygenept-no-such-package==1",))
    with pytest.raises(EnvironmentBuildError, match=r"network.*ERROR.*dygenept-no-such-package"):
        build_environment(spec, tmp_path)
    assert [path.suffix for path in (tmp_path / "environments").iterdir()] == [".lock"]
    assert list_environments(tmp_path) == ()
