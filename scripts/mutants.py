"""Mutation testing: change one thing in the code at a time and see whether a test notices.

    python scripts/mutants.py               # every area
    python scripts/mutants.py losses seeds  # some areas
    python scripts/mutants.py losses --show # and print the survivors as diffs
    python scripts/mutants.py losses --fresh
    python scripts/mutants.py evaluation --sample 200
    python scripts/mutants.py evaluation --sample 80 --seed 3  # another sample

mutmut makes the mutants, picks for each one the tests that reach it, and runs them in a process
that is forked from one that has imported the tests and run none: polars waits for ever in a fork of
a process in which it has read a file. It expects every package at the root of one folder, so each
area gets such a folder below ``build/mutants``. A second run tries only what changed or survived;
``--fresh`` tries everything, ``--sample`` so many mutants drawn at random, for an estimate in
minutes.
docs/mutants.md says what the last run found.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "mutants"
# Packages and files of the flat tree, by where they are in the checkout.
TREE = {
    "dygenept": "dygenept",
    "plugins/dygenept_plugins": "dygenept_plugins",
    "cli/dygenept_cli": "dygenept_cli",
    "benchmarks/dygenept_benchmarks": "dygenept_benchmarks",
    "tests": "tests",
    "registry.yaml": "registry.yaml",
}
PACKAGES = ("dygenept", "dygenept_plugins", "dygenept_cli", "dygenept_benchmarks")
# Lines that are wording: a string that stands alone, as messages over several lines do, and logs.
WORDING = [r"""^\s*f?"[^"]*"$""", r"^\s*logger\."]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
# A session per mutant: plugins that no test here needs cost more than the tests do.
QUICK = ("-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib --strict-markers")
# A pytest plugin: most mutants fall to a test that takes no time, so those go first. What the first
# run of the tests left in caches would hide a mutant from them.
FAST_FIRST = """
import functools
import gc
import json


def pytest_sessionstart(session):
    for found in gc.get_objects():
        # The class itself: torch has objects that warn when they are asked for theirs.
        if type(found) is functools._lru_cache_wrapper and "dygenept" in found.__module__:
            found.cache_clear()


def pytest_collection_modifyitems(items):
    try:
        with open("mutmut-stats.json", encoding="utf-8") as stats:
            seconds = json.load(stats)["duration_by_test"]
    except FileNotFoundError:
        return
    items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
"""
# Exit codes of mutmut: the tests passed; no test reaches the mutant; not tried.
SURVIVED = (0, 5, 33, None)
# The tests failed; any other code says that a limit of time or a crash ended them.
FAILED = 1
THRESHOLD = 0.9


@dataclass(frozen=True, slots=True)
class Area:
    """Code that mutants are made of, and the tests that have to notice.

    Attributes:
        modules: Paths of modules in the flat tree; ``*`` stands for any name.
        tests: Test files, or folders of them.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "splits": Area(
        ("dygenept/data/splits.py", "dygenept_plugins/splits/*.py"),
        (
            "tests/core/data/test_splits.py",
            "tests/core/data/test_splits_exact.py",
            "tests/plugins/test_splits_cross_cell_type.py",
            "tests/plugins/test_splits_exact.py",
            "tests/plugins/test_splits_gears.py",
            "tests/plugins/test_splits_kfold.py",
            "tests/plugins/test_splits_manifest.py",
            "tests/plugins/test_splits_own.py",
            "tests/plugins/test_splits_unseen_both.py",
        ),
    ),
    "seeds": Area(
        ("dygenept/model/seeds.py", "dygenept/runs/keys_and_seeds.py"),
        (
            "tests/core/model/test_seeds.py",
            "tests/core/model/training/test_loop_exact.py",
            "tests/core/model/training/test_resuming_exact.py",
            "tests/core/runs/test_keys_and_seeds.py",
            "tests/core/runs/test_job_key_exact.py",
        ),
    ),
    "losses": Area(
        ("dygenept/model/losses.py",),
        ("tests/core/model/test_losses.py", "tests/core/model/test_losses_exact.py"),
    ),
    "imputation": Area(
        ("dygenept/knowledge/facets/imputation.py", "dygenept/knowledge/facets/informants.py"),
        (
            "tests/core/knowledge/test_imputation_exact.py",
            "tests/core/knowledge/test_knowledge_imputation.py",
        ),
    ),
    "early-stopping": Area(
        (
            "dygenept/model/training/loop.py",
            "dygenept/model/training/optimisation.py",
            "dygenept/model/training/precision.py",
        ),
        ("tests/core/model/training",),
    ),
    "facet-tuning": Area(
        (
            "dygenept/model/start/facet_tuning.py",
            "dygenept/model/start/held_out.py",
            "dygenept/model/start/left_out_loss.py",
            "dygenept/model/start/tuning_rows.py",
        ),
        ("tests/core/model/test_facet_tuning_exact.py", "tests/core/model/start"),
    ),
    "choices": Area(
        ("dygenept/model/start/beyond_chance.py", "dygenept/model/start/typical.py"),
        ("tests/core/model/test_choices.py", "tests/core/model/start"),
    ),
    "guard": Area(
        (
            "dygenept/data/guard.py",
            "dygenept/data/reachable.py",
            "dygenept/data/references.py",
            "dygenept/model/object_state.py",
        ),
        (
            "tests/core/data/test_guard.py",
            "tests/core/data/test_reachable.py",
            "tests/core/model/test_object_state.py",
        ),
    ),
    "evaluation": Area(
        ("dygenept/evaluation/*.py",),
        (
            "tests/core/evaluation",
            "tests/core/runs/test_same_scores.py",
            "tests/plugins/test_baselines_ceilings.py",
            "tests/plugins/test_metrics_cells.py",
            "tests/plugins/test_metrics_interactions.py",
            "tests/plugins/test_metrics_ranks.py",
            "tests/plugins/test_metrics_split_control.py",
            "tests/plugins/test_splits_kfold.py",
        ),
    ),
    "leaderboard": Area(
        (
            "dygenept/leaderboard/calibration.py",
            "dygenept/leaderboard/comparisons.py",
            "dygenept/leaderboard/echoes.py",
            "dygenept/leaderboard/groups.py",
            "dygenept/leaderboard/judgements.py",
            "dygenept/leaderboard/metric_table.py",
            "dygenept/leaderboard/notes.py",
            "dygenept/leaderboard/published.py",
            "dygenept/leaderboard/rows.py",
            "dygenept/leaderboard/saturation.py",
            "dygenept/leaderboard/score_grid.py",
            "dygenept/leaderboard/across_seeds.py",
        ),
        ("tests/core/leaderboard", "tests/core/results/test_record_index.py"),
    ),
}


def main() -> int:
    """Run the areas named and print a table; 1 if one falls below the threshold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(AREAS)}; all")
    parser.add_argument("--show", action="store_true", help="print survivors as diffs")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="try N at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--processes", type=int, default=1, help="mutants tried at once")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.areas) - set(AREAS))
    if unknown:
        parser.error(f"no area {unknown[0]!r}; there are {', '.join(AREAS)}")
    rows = []
    for name in arguments.areas or AREAS:
        folder = BUILD / name
        _prepare(folder, AREAS[name], fresh=arguments.fresh)
        drawn: list[str] = []
        if arguments.sample:
            drawn = _drawn(folder, AREAS[name], arguments.sample, arguments.seed)
        _mutate(folder, arguments.processes, drawn)
        codes = {key: code for key, code in _exit_codes(folder) if not drawn or key in set(drawn)}
        survivors = [mutant for mutant, code in codes.items() if code in SURVIVED]
        if arguments.show:
            _show(folder, survivors)
        cut_short = [mutant for mutant, code in codes.items() if code not in (FAILED, *SURVIVED)]
        for mutant in cut_short:
            _say(f"# {mutant}: no test failed, a limit of time or a crash ended them")
        rows.append((name, len(codes), len(codes) - len(survivors), len(cut_short)))
    _say(
        "| area | mutants | killed | of these by a limit or a crash | survived | killed, % |\n"
        "|---|---|---|---|---|---|"
    )
    for name, n_mutants, n_killed, n_cut_short in rows:
        share, n_left = 100 * n_killed / max(1, n_mutants), n_mutants - n_killed
        _say(f"| {name} | {n_mutants} | {n_killed} | {n_cut_short} | {n_left} | {share:.1f} |")
    return int(any(n_killed < THRESHOLD * n_mutants for _, n_mutants, n_killed, _ in rows))


def _prepare(folder: Path, area: Area, *, fresh: bool) -> None:
    """Bring the flat tree of an area up to date, and let survivors be tried again."""
    wanted = dict(_tree_files())
    missing = [test for test in area.tests if not (ROOT / test).exists()]
    missing += [path for path in area.modules if not any(item.match(path) for item in wanted)]
    if missing:
        sys.exit(f"there is no {missing[0]}; name what took its place in {__file__}")
    stale = {path for part in TREE.values() for path in _files_below(folder, part)} - set(wanted)
    if fresh or stale:
        # mutmut never removes a file, and a leftover module would go on being imported.
        shutil.rmtree(folder, ignore_errors=True)
    for relative, source in wanted.items():
        target = folder / relative
        if not target.exists() or target.stat().st_mtime != source.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    settings = {
        "source_paths": PACKAGES,
        "only_mutate": area.modules,
        "pytest_add_cli_args_test_selection": area.tests,
        "also_copy": ["registry.yaml", "fast_first.py"],
        "do_not_mutate_patterns": WORDING,
        "process_isolation": "forkserver",
        "pytest_add_cli_args": ["-p", "fast_first", "-p", "pytest_timeout", *QUICK],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        project + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    (folder / "fast_first.py").write_text(FAST_FIRST, encoding="utf-8")
    for path in (folder / "mutants").rglob("*.py.meta"):
        document = json.loads(path.read_text(encoding="utf-8"))
        codes = document["exit_code_by_key"]
        document["exit_code_by_key"] = {
            key: None if code in SURVIVED else code for key, code in codes.items()
        }
        path.write_text(json.dumps(document, indent=4), encoding="utf-8")


def _tree_files() -> Iterator[tuple[Path, Path]]:
    """Yield every file of the tree: its path there, and in the checkout."""
    for source, target in TREE.items():
        for path in _files_below(ROOT, source):
            yield target / path.relative_to(source), ROOT / path


def _files_below(folder: Path, part: str) -> Iterator[Path]:
    """Yield the files of a part of a folder, relative to the folder, without caches."""
    start = folder / part
    for path in [start] if start.is_file() else sorted(start.rglob("*")):
        if path.is_file() and not {"__pycache__", "build"} & set(path.parts[len(folder.parts) :]):
            yield path.relative_to(folder)


def _drawn(folder: Path, area: Area, size: int, seed: int) -> list[str]:
    """Draw names of mutants, the same ones from the same code and seed."""
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    with _settings_of(folder):
        names = [
            get_mutant_name(path.relative_to(folder), mutant)
            for pattern in area.modules
            for path in sorted(folder.glob(pattern))
            for mutant in mutate_file_contents(
                str(path), path.read_text(encoding="utf-8")
            ).mutant_names
        ]
    return random.Random(seed).sample(names, min(size, len(names)))


@contextmanager
def _settings_of(folder: Path) -> Iterator[None]:
    """Let mutmut read its settings from a folder: it looks for them where it is."""
    from mutmut.configuration import reset_config

    before = Path.cwd()
    os.chdir(folder)
    reset_config()
    try:
        yield
    finally:
        os.chdir(before)


def _mutate(folder: Path, n_processes: int, mutants: Sequence[str]) -> None:
    """Run mutmut on some mutants, or on all; its output goes to ``mutmut.log`` in the folder."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run"]
    with (folder / "mutmut.log").open("w", encoding="utf-8") as log:
        finished = subprocess.run(
            [*command, "--max-children", str(n_processes), *mutants],
            cwd=folder,
            env={**os.environ, **ENVIRONMENT},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if finished.returncode:
        sys.exit(f"mutmut failed; see {folder / 'mutmut.log'}")


def _exit_codes(folder: Path) -> Iterator[tuple[str, int | None]]:
    """Yield every mutant's name and what mutmut made of it."""
    for path in sorted((folder / "mutants").rglob("*.py.meta")):
        yield from json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items()


def _show(folder: Path, mutants: Sequence[str]) -> None:
    """Print mutants as diffs."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    with _settings_of(folder):
        for mutant in mutants:
            lines = get_diff_for_mutant(mutant).splitlines()[2:]
            _say("\n".join([f"# {mutant}", *(line for line in lines if line[0] in "+-")]))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
