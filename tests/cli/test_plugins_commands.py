from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dygenept.plugin.specs import KINDS

BROKEN_METRIC = """
import numpy as np

from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import MetricSpec
from dygenept.types import MetricValues


def build(config):
    return lambda inputs: MetricValues(np.full(len(inputs.conditions), np.nan))


@hookimpl
def dygenept_metrics():
    return [
        MetricSpec(
            name="always_nan",
            summary="Never defined.",
            source="this project",
            factory=build,
            higher_is_better=True,
        )
    ]
"""


@pytest.fixture
def broken_metric(tmp_path: Path) -> Path:
    path = tmp_path / "always_nan.py"
    path.write_text(BROKEN_METRIC)
    return path


def test_list_shows_every_kind_with_a_built_in_plugin(cli) -> None:
    result = cli("plugins", "list")
    assert result.code == 0, result.err
    for name in ("sparsemax", "latent_arithmetic", "perturbed_mean", "pearson_delta_top20"):
        assert name in result.out


def test_list_as_json_says_where_a_plugin_is_from(cli) -> None:
    document = cli("plugins", "list", "--json").json()
    assert document["schema_version"] == 1
    assert document["failures"] == {}
    (row,) = [row for row in document["plugins"] if row["name"] == "sparsemax"]
    assert row["kind"] == "attention"
    assert row["distribution"] == "dygenept"
    assert row["owner"] == "dygenept_plugins.attention.multi_head"
    assert row["summary"]
    assert row["source"]


def test_list_of_one_kind_shows_that_kind_alone(cli) -> None:
    document = cli("plugins", "list", "--kind", "decoders", "--json").json()
    assert {row["kind"] for row in document["plugins"]} == {"decoders"}


def test_an_unknown_kind_suggests_the_nearest(cli) -> None:
    result = cli("plugins", "list", "--kind", "decoder")
    assert result.code == 2
    assert "did you mean 'decoders'?" in result.err
    assert result.out == ""


def test_a_plugin_file_is_listed_with_its_path(cli, broken_metric: Path) -> None:
    document = cli("plugins", "list", "--plugin", broken_metric, "--json").json()
    (row,) = [row for row in document["plugins"] if row["name"] == "always_nan"]
    assert row["distribution"] == "file"
    assert row["owner"] == str(broken_metric)
    assert "always_nan.py" in cli("plugins", "list", "--plugin", broken_metric).out


def test_show_gives_options_with_defaults_bounds_and_descriptions(cli) -> None:
    document = cli("plugins", "show", "attention/sparsemax", "--json").json()
    (option,) = [item for item in document["options"] if item["name"] == "num_heads"]
    assert option["type"] == "int"
    assert option["default"] == 8
    assert option["required"] is False
    assert option["allowed"] == "ge=1"
    assert option["description"]


def test_show_as_a_table_has_the_same_facts(cli) -> None:
    result = cli("plugins", "show", "latent_arithmetic")
    assert result.code == 0, result.err
    for text in ("decoders", "hidden_dims", "tuple[int, ...]", "[512, 256]", "dygenept"):
        assert text in result.out


def test_show_marks_an_option_that_must_be_given(cli) -> None:
    document = cli("plugins", "show", "datasets/gears", "--json").json()
    (option,) = [item for item in document["options"] if item["name"] == "file_id"]
    assert option["required"] is True


def test_show_of_a_plugin_without_options_says_so(cli) -> None:
    assert "no options" in cli("plugins", "show", "metrics/mse").out


def test_show_of_an_unknown_plugin_suggests_the_nearest(cli) -> None:
    result = cli("plugins", "show", "sparsmax")
    assert result.code == 2
    assert "did you mean 'sparsemax'?" in result.err


def test_show_of_an_ambiguous_name_asks_which(cli, tmp_path: Path) -> None:
    cli("plugins", "new", "metrics", "twice", "--output", tmp_path / "a.py")
    cli("plugins", "new", "splits", "twice", "--output", tmp_path / "b.py")
    files = ("--plugin", tmp_path / "a.py", "--plugin", tmp_path / "b.py")
    result = cli("plugins", "show", "twice", *files)
    assert result.code == 2
    assert "splits/twice, metrics/twice" in result.err
    assert cli("plugins", "show", "metrics/twice", *files).code == 0


def test_check_of_one_plugin_is_one_line(cli) -> None:
    result = cli("plugins", "check", "metrics/mse")
    assert result.code == 0, result.err
    assert result.out == "ok      metrics/mse\n"


def test_check_of_a_broken_file_says_which_rule_and_exits_with_2(cli, broken_metric: Path) -> None:
    result = cli("plugins", "check", "--plugin", broken_metric)
    assert result.code == 2
    (line,) = result.out.splitlines()
    assert line.startswith("failed  metrics/always_nan: ")
    assert "needs a reason" in line


def test_check_as_json_gives_each_verdict(cli, broken_metric: Path) -> None:
    result = cli("plugins", "check", "--plugin", broken_metric, "--json")
    assert result.code == 2
    (check,) = result.json()["checks"]
    assert check["plugin"] == "metrics/always_nan"
    assert check["verdict"] == "failed"


def test_check_of_a_file_that_fails_to_import_exits_with_2(cli, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import no_such_library_at_all\n")
    result = cli("plugins", "check", "--plugin", path)
    assert result.code == 2
    assert result.out.startswith(f"failed  {path}: ModuleNotFoundError")


def test_a_data_set_that_is_not_on_disk_keeps_the_rules(cli) -> None:
    assert cli("plugins", "check", "datasets/gears").out.startswith(("ok", "skipped"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_check(cli, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "my_new_part.py"
    written = cli("plugins", "new", kind, "my_new_part")
    assert written.code == 0, written.err
    assert "my_new_part.py written" in written.err
    result = cli("plugins", "check", "--plugin", path)
    assert (result.code, result.out) == (0, f"ok      {kind}/my_new_part\n"), result.err


def test_new_plugins_keep_the_house_style(cli, tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed")
    for kind in (*KINDS, "isolated_baselines"):
        cli("plugins", "new", kind, "my_new_part", "--output", tmp_path / f"{kind}.py")
    shutil.copy(Path(__file__).parents[2] / "pyproject.toml", tmp_path / "pyproject.toml")
    # The copied pyproject.toml brings rules on public methods that a template need not document.
    for command in (["check", "--ignore", "D"], ["format", "--check"]):
        done = subprocess.run([ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_a_new_isolated_baseline_is_a_plugin_a_script_and_a_test_that_work(
    cli, tmp_path: Path
) -> None:
    from dygenept.plugin.manager import PluginManager
    from dygenept.plugin.specs import BaselineSpec
    from dygenept.testing.toy import toy_data, toy_task

    written = cli("plugins", "new", "isolated_baselines", "my_peer")
    assert written.code == 0, written.err
    names = {"my_peer.py", "_my_peer_child.py", "test_my_peer.py"}
    assert {path.name for path in tmp_path.glob("*.py")} == names
    manager = PluginManager.load(files=[tmp_path / "my_peer.py"], entry_points=False)
    spec = manager.get(BaselineSpec, "my_peer")
    task, held_out = toy_task(toy_data(), needs_cells=True)
    vectors = tmp_path / "vectors.csv"
    known = sorted({gene for item in (*task.known, *held_out) for gene in item.genes})[1:]
    rng = np.random.default_rng(0)
    values = dict(zip(known, rng.normal(size=(len(known), 3)).round(3), strict=True))
    rows = [f"{gene},{','.join(map(str, row))}" for gene, row in values.items()]
    vectors.write_text("\n".join(["gene,a,b,c", *rows]) + "\n")
    model = spec.factory(spec.config(embedding=str(vectors), penalty=2.0))
    model.use_python(Path(sys.executable))
    model.fit(task)
    predicted = model.predict(held_out).expression
    # The same ridge regression, in its primal form.
    inputs = [
        (row, sum(values[gene] for gene in item.genes))
        for row, item in enumerate(task.known)
        if all(gene in values for gene in item.genes)
    ]
    features = np.array([vector for _, vector in inputs])
    changes = task.means[[row for row, _ in inputs]] - task.control_means[0]
    gram = features.T @ features + 2.0 * np.eye(3)
    weights = np.linalg.solve(gram, features.T @ changes)
    for row, item in enumerate(held_out):
        if all(gene in values for gene in item.genes):
            change = sum(values[gene] for gene in item.genes) @ weights
            expected = task.control_means[0] + change
        else:
            expected = task.means.mean(axis=0)
        np.testing.assert_allclose(predicted[row], expected, atol=1e-4)
    again = cli("plugins", "new", "isolated_baselines", "my_peer", "--output", tmp_path / "b.py")
    assert again.code == 2
    assert "_my_peer_child.py exists" in again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attentions", "mine"), "did you mean 'attention'?"),
        (("attention", "Mine"), "not lower snake case"),
        (("attention", "sparsemax"), "already exists"),
    ],
)
def test_a_new_plugin_with_a_bad_name_is_refused(
    cli, arguments: tuple[str, str], message: str, tmp_path: Path
) -> None:
    result = cli("plugins", "new", *arguments)
    assert result.code == 2
    assert message in result.err
    assert list(tmp_path.glob("*.py")) == []


def test_a_new_plugin_overwrites_nothing(cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("precious")
    result = cli("plugins", "new", "metrics", "mine")
    assert result.code == 2
    assert "exists" in result.err
    assert path.read_text() == "precious"
