from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import pytest

from dygenept.data.catalog import DatasetEntry, dataset_entries, resolve_dataset
from dygenept.errors import ConfigError
from dygenept.evaluation.aggregates import Aggregate
from dygenept.leaderboard.judgements import Judgement
from dygenept.leaderboard.published import check_figures
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.model.resolve import resolve_models
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import EffectMetricSpec, MetricSpec, SplitSpec
from dygenept.runs.default_models import default_models
from dygenept.runs.suites import all_suites, load_suite, published_rows

DIRECTORY = Path(str(files("dygenept_benchmarks")))
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def environment_of() -> Environment:
    registry = load_registry()
    return Environment(
        registry=registry, manager=PluginManager.load(registry.plugins, entry_points=False)
    )


def test_the_declared_suites_ship() -> None:
    assert set(NAMES) >= {
        "quick",
        "all",
        "langpert_k562",
        "langpert_rpe1",
        "gears_norman",
        "gears_adamson",
        "gears_dixit",
        "norman_combos",
        "cross_cell_type",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_suite_runs_the_ceilings_and_floors(name: str) -> None:
    suite = load_suite(name, DIRECTORY)
    models = suite.models or default_models(environment_of()).models
    room = {"truth", "technical_duplicate", "control_mean", "perturbed_mean", "shuffled"}
    assert room <= set(models)


def test_the_langpert_suites_are_its_protocol() -> None:
    for name, dataset in (("langpert_k562", "k562"), ("langpert_rpe1", "rpe1")):
        suite = load_suite(name, DIRECTORY)
        assert suite.datasets == (dataset,)
        assert (suite.split, suite.n_folds, suite.seed) == ("kfold", 5, 42)
        assert not suite.split_options
    assert load_suite("all", DIRECTORY).datasets == ("norman", "adamson", "dixit", "k562", "rpe1")


@pytest.mark.parametrize("name", NAMES)
def test_every_quoted_figure_names_a_metric_a_data_set_and_its_source(name: str) -> None:
    registry = load_registry()
    manager = PluginManager.load(registry.plugins, entry_points=False)
    entries = dataset_entries(Environment.load())
    suite = load_suite(name, DIRECTORY)
    for publication in suite.published:
        assert publication.dataset in {entries_name(item, entries) for item in suite.datasets}
        for model in publication.models:
            assert set(model.errors) <= set(model.values)
            assert not model.errors or publication.error is not None
            assert model.same_as is None or model.same_as in manager.names("baselines")
            for metric in model.values:
                assert metric in known_metrics(manager)


def known_metrics(manager: PluginManager) -> set[str]:
    return {*manager.names(MetricSpec.kind), *manager.names(EffectMetricSpec.kind)}


def entries_name(dataset: str, entries: dict[str, DatasetEntry]) -> str:
    """The data set's own name, which is the folder of a GEARS file."""
    known = {alias: name for name, entry in entries.items() for alias in (name, *entry.aliases)}
    return known[dataset]


@pytest.mark.parametrize(
    ("table", "suite", "dataset", "n_train"),
    [
        ("langpert_tables1_2.csv", "langpert_k562", "replogle_k562", "850"),
        ("langpert_tables1_2.csv", "langpert_rpe1", "replogle_rpe1", "1170"),
    ],
)
def test_quoted_langpert_figures_are_those_of_the_paper(
    shared_data: Path, table: str, suite: str, dataset: str, n_train: str
) -> None:
    metrics = {
        "MAE": "mae_top20", "MSE": "mse_top20", "pearson_delta": "pearson_delta_top20"
    }  # fmt: skip
    with (shared_data / "published" / table).open() as stream:
        expected = {
            (row["model"], metrics[row["metric"]]): (float(row["mean"]), float(row["stderr"]))
            for row in csv.DictReader(stream)
            if (row["dataset"], row["n_train_perturbations"]) == (dataset, n_train)
        }
    (publication,) = load_suite(suite, DIRECTORY).published
    quoted = {(row.model, row.metric): (row.value, row.error) for row in publication.quoted()}
    assert quoted == expected


def test_quoted_figures_stand_beside_their_own_protocol_and_real_cells_alone() -> None:
    suites = all_suites(DIRECTORY)
    wanted = {"suite": "langpert_k562@1", "dataset": "replogle_k562_essential"}
    rows = published_rows(suites, **wanted, is_simulated=False)
    assert {row.model for row in rows} >= {"GEARS", "Non-ctrl mean", "LangPert"}
    assert all(row.document()["quoted"] is True for row in rows)
    assert published_rows(suites, **wanted, is_simulated=True) == ()
    for change in ({"suite": "custom"}, {"suite": "langpert_k562@0"}, {"dataset": "norman"}):
        assert published_rows(suites, **(wanted | change), is_simulated=False) == ()
    assert published_rows(suites, **(wanted | {"suite": "all@1"}), is_simulated=False) == rows


def test_a_published_figure_matches_within_its_error_and_half_a_digit() -> None:
    (mean,) = [
        row
        for row in load_suite("langpert_k562", DIRECTORY).published[0].quoted()
        if row.same_as and row.metric == "mae_top20"
    ]
    assert (mean.value, mean.error) == (0.332, 0.006)
    for ours, matches in ((0.332, True), (0.3384, True), (0.3386, False), (0.3254, False)):
        (result,) = check_figures([mean], [leaderboard_row("perturbed_mean", "mae_top20", ours)])
        assert result.matches is matches
        assert result.difference == pytest.approx(ours - 0.332)
    (missing,) = check_figures([mean], [leaderboard_row("additive", "mae_top20", 0.332)])
    assert missing.ours is None
    assert missing.matches is False


def leaderboard_row(model: str, metric: str, mean: float) -> LeaderboardRow:
    return LeaderboardRow(
        model=model,
        role="baseline",
        metric=metric,
        higher_is_better=False,
        rank=1,
        total=Aggregate(
            mean=mean,
            std=None,
            stderr=None,
            pooled=mean,
            ci_low=None,
            ci_high=None,
            n_folds=5,
            n_perturbations=10,
            n_undefined=0,
        ),
        judgement=Judgement(is_best=True, indistinguishable_from_best=False),
        n_distinct=10,
        n_cell_types=1,
        n_split_folds=5,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("citation: somewhere", "citation"),
        ("error: sem", "error"),
        ("paper: ''", "paper"),
    ],
)
def test_a_quoted_figure_without_a_proper_source_is_refused(
    tmp_path: Path, change: str, message: str
) -> None:
    text = (DIRECTORY / "langpert_k562.yaml").read_text()
    key = change.partition(":")[0]
    lines = [
        f"{line[: line.index(key)]}{change}" if line.strip(" -").startswith(f"{key}:") else line
        for line in text.splitlines()
    ]
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=message):
        load_suite(str(path), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_names_only_what_exists(name: str) -> None:
    suite = load_suite(name, DIRECTORY)
    environment = environment_of()
    manager = environment.manager
    assert suite.name == name
    assert resolve_models(suite.models, environment) or not suite.models
    manager.configure(manager.get(SplitSpec, suite.split), dict(suite.split_options))
    for metric in suite.metrics:
        assert metric in known_metrics(manager)
    for dataset in suite.datasets:
        resolve_dataset(dataset, environment, scale=suite.scale)


def test_an_unknown_key_of_a_suite_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nversion: 1\nsummary: x\ndatasets: [norman]\nfolds: 3\n")
    with pytest.raises(ConfigError, match=r"unknown key .*folds.*n_folds"):
        load_suite(str(path), tmp_path)
