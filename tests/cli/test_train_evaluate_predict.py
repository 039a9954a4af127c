from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

pytestmark = pytest.mark.usefixtures("few_tuning_steps")

SHORT = (
    *("--facets", "go_tfidf"),
    *("--set", "training.epochs=1"),
    *("--set", "training.steps_per_epoch=2"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained") / "model"


@pytest.fixture
def checkpoint(cli, toy: Path, trained: Path) -> Path:
    """One trained model for all tests, which only read it."""
    if not trained.exists():
        result = cli("train", "--dataset", toy, "--folds", "2", "--output", trained, *SHORT)
        assert result.code == 0, result.err
    return trained


def test_train_evaluate_gives_what_bench_gives_for_that_fold(
    cli, toy: Path, checkpoint: Path, tmp_path: Path
) -> None:
    evaluated = cli("evaluate", "--checkpoint", checkpoint, "--dataset", toy, "--json")
    assert evaluated.code == 0, evaluated.err
    rows = {row["metric"]: row["pooled"] for row in evaluated.json()["leaderboard"]}
    assert not (tmp_path / "results").exists()
    cli("bench", "--dataset", toy, "--folds", "2", "--model", "dygenept_small", *SHORT)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/runs").iterdir()]
    (first,) = [record for record in records if record["fold"] == 0]
    for metric in first["metrics"]:
        values = [item["value"] or 0.0 for item in metric["values"]]
        assert rows[metric["name"]] == pytest.approx(sum(values) / len(values), abs=1e-6)


def test_evaluate_records_the_job_of_bench(cli, toy: Path, tmp_path: Path) -> None:
    """The same key, configuration and plugins, down to the files of the knowledge graphs."""
    (tmp_path / "edges.tsv").write_text("KLF1\tMAPK1\t0.9\nTP53\tCEBPA\t0.8\n")
    cold = ("--set", "training.warm_start=false")
    graph = ("--kg", "edges", "--set", "kg.edges.path=edges.tsv")
    same = ("--dataset", toy, "--folds", "2", *SHORT, *cold, *graph)
    trained = cli("train", *same, "--output", tmp_path / "model", "--fold", "2")
    assert trained.code == 0, trained.err
    asked = ("--checkpoint", tmp_path / "model", "--dataset", toy)
    evaluated = cli("evaluate", *asked, "--results", tmp_path / "evaluated")
    assert evaluated.code == 0, evaluated.err
    (path,) = (tmp_path / "evaluated" / "runs").iterdir()
    mine = json.loads(path.read_text())
    assert set(mine["config"]["kg_files"]) == {"kg.edges"}
    assert [f.name for f in (tmp_path / "evaluated/splits").iterdir()] == [
        f"{mine['split']['sha256']}.json"
    ]
    benched = cli("bench", *same, "--model", "dygenept_small", "--results", tmp_path / "benched")
    assert benched.code == 0, benched.err
    theirs = json.loads((tmp_path / "benched" / "runs" / path.name).read_text())
    for name in ("key", "model", "base_model", "role", "suite", "fold", "config", "plugins"):
        assert mine[name] == theirs[name], name
    assert mine["metrics"] == theirs["metrics"]


@pytest.mark.parametrize(
    "where",
    [" (dygenept 0.0.9, code 000000000000)", " (plugin facets, code 111111111111)", ""],
)
def test_a_model_that_other_code_trained_says_so_and_has_a_key_of_its_own(
    cli,
    checkpoint: Path,
    toy: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    where: str,
) -> None:
    old = tmp_path / "old"
    shutil.copytree(checkpoint, old)
    manifest = json.loads((old / "dygenept.json").read_text())
    code = manifest.pop("code")
    if "plugin" in where:
        manifest["code"] = code
        manifest["plugins"][0]["code_sha256"] = "1" * 64
    if "0.0.9" in where:
        manifest["code"] = {
            **code,
            "sha256": "0" * 64,
            "version": "0.0.9",
            "commit": None,
            "dirty": None,
        }
    (old / "dygenept.json").write_text(json.dumps(manifest))
    keys, names, notes = [], [], []
    for of in (checkpoint, old):
        results = tmp_path / f"results of {of.name}"
        evaluated = cli("evaluate", "--checkpoint", of, "--dataset", toy, "--results", results)
        assert evaluated.code == 0, evaluated.err
        assert ("was trained by other code" in caplog.text) == (of is old)
        (path,) = (results / "runs").iterdir()
        record = json.loads(path.read_text())
        keys.append(record["key"])
        names.append(record["model"])
        notes.append([note for note in record["notes"] if "trained by other code" in note])
    assert keys[0] != keys[1]
    # A row of its own, in a folder that has folds of the present code's model.
    assert re.fullmatch(re.escape(names[0]) + r" \(other code [0-9a-f]{8}\)", names[1])
    again = cli("rerun", path, "--dataset", toy)
    assert "a saved model was scored then, which other code had trained" in again.err
    assert [len(found) for found in notes] == [0, 1]
    caplog.clear()
    assert cli("predict", "--checkpoint", old, "--perturbation", "KLF1").code == 0
    assert f"{old} was trained by other code{where} than the present: its" in caplog.text


def test_evaluate_refuses_another_data_set(cli, checkpoint: Path) -> None:
    result = cli("evaluate", "--checkpoint", checkpoint, "--dataset", "sim:dixit@0.02")
    assert result.code == 2
    assert "was made for the data set" in result.err


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".json"])
def test_predict_writes_a_table_with_gene_names(
    cli, toy: Path, checkpoint: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"prediction{suffix}"
    result = cli(
        "predict",
        *("--checkpoint", checkpoint, "--output", output),
        *("--perturbation", "KLF1+MAPK1", "--perturbation", "TP53"),
    )
    assert result.code == 0, result.err
    readers = {
        ".csv": pl.read_csv,
        ".tsv": lambda path: pl.read_csv(path, separator="\t"),
        ".parquet": pl.read_parquet,
        ".json": pl.read_json,
    }
    table = readers[suffix](output)
    assert table.columns == [
        "perturbation",
        "cell_type",
        "gene_id",
        "gene",
        "control",
        "predicted",
        "delta",
        "predicted_sd",
    ]
    assert table["perturbation"].unique(maintain_order=True).to_list() == [
        "KLF1+MAPK1",
        "TP53+ctrl",
    ]
    assert len(table) == 2 * 60
    difference = table["predicted"] - table["control"] - table["delta"]
    assert difference.abs().max() < 1e-6


def test_predict_can_fit_a_baseline_on_the_spot(cli, toy: Path) -> None:
    result = cli(
        "predict",
        *("--dataset", toy, "--model", "additive", "--perturbation", "KLF1", "--json"),
    )
    assert result.code == 0, result.err
    rows = result.json()["predictions"]
    assert {row["perturbation"] for row in rows} == {"KLF1+ctrl"}


def test_predict_prints_the_strongest_changes(cli, checkpoint: Path) -> None:
    result = cli("predict", "--checkpoint", checkpoint, "--perturbation", "KLF1")
    assert result.code == 0, result.err
    assert "KLF1+ctrl" in result.out
    assert "delta" in result.out


def test_a_target_of_which_nothing_is_known_is_named(cli, checkpoint: Path) -> None:
    asked = ("--perturbation", "KLF1+NOSUCHGENE", "--json")
    result = cli("predict", "--checkpoint", checkpoint, *asked)
    assert result.code == 0, result.err
    assert (
        "note: nothing is known about NOSUCHGENE; a code of its own is used instead, of which "
        "nothing was learned"
    ) in result.err
    assert "known of KLF1" not in result.err


def test_the_command_that_scores_a_model_reads_the_data_as_training_did(
    cli, tmp_path: Path
) -> None:
    asked = ("--dataset", "sim:dixit", "--scale", "0.02", "--folds", "3", *SHORT)
    result = cli("train", *asked, "--output", tmp_path / "model", "--quiet")
    assert result.code == 0, result.err
    assert "--dataset sim:dixit --scale 0.02`" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--perturbation", "KLF1"), "give either --checkpoint DIR"),
        (("--checkpoint", "none", "--perturbation", "KLF1"), "no trained model in none"),
        (("--dataset", "TOY", "--model", "additive", "--perturbation", "ctrl"), "is control"),
        (
            ("--dataset", "TOY", "--model", "additive", "--perturbation", "KLF1+"),
            "'KLF1+' has an empty gene; write KLF1",
        ),
        (("--dataset", "TOY", "--model", "truth", "--perturbation", "KLF1"), "only copies"),
        (
            ("--dataset", "TOY", "--perturbation", "KLF1", "--output", "table.xls"),
            "cannot write table.xls",
        ),
        (
            ("--dataset", "TOY", "--perturbation", "KLF1", "--cell-type", "RPE"),
            "unknown cell type",
        ),
    ],
)
def test_wrong_requests_are_one_line_and_exit_code_2(
    cli, toy: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("predict", *(str(toy) if item == "TOY" else item for item in arguments))
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_closed_form_baseline_is_not_trained(cli, toy: Path, tmp_path: Path) -> None:
    result = cli("train", "--dataset", toy, "--model", "additive", "--output", tmp_path / "m")
    assert result.code == 2
    assert "closed form" in result.err
    assert not (tmp_path / "m").exists()


def test_predict_tells_genes_outside_the_screen_apart(cli, toy: Path, tmp_path: Path) -> None:
    asked = [part for gene in ("FOXA1", "RUNX2", "KLF1+FOXA1", "KLF1", "NOTAGENE") for part in
             ("--perturbation", gene)]  # fmt: skip
    result = cli("predict", "--dataset", toy, "--model", "ridge_go", *asked, "--output", "p.csv")
    assert result.code == 0, result.err
    table = pl.read_csv(tmp_path / "p.csv")
    values = {
        str(label): part["predicted"].to_numpy()
        for (label,), part in table.group_by("perturbation")
    }
    assert abs(values["FOXA1+ctrl"] - values["RUNX2+ctrl"]).max() > 1e-3
    assert abs(values["KLF1+FOXA1"] - values["KLF1+ctrl"]).max() > 1e-3
    assert "note: NOTAGENE is known to neither" in result.err


@pytest.mark.parametrize(
    ("label", "message"),
    [("KLF1,MAPK1", "it looks like KLF1+MAPK1"), ("NOTAGENE", "no gene 'NOTAGENE' is known")],
)
def test_predict_refuses_what_nobody_knows_unless_allowed(
    cli, toy: Path, label: str, message: str
) -> None:
    fit = ("predict", "--dataset", toy, "--model", "additive", "--perturbation", label)
    refused = cli(*fit)
    assert refused.code == 2
    assert message in refused.err
    assert "--allow-unknown" in refused.err
    allowed = cli(*fit, "--allow-unknown", "--json")
    assert allowed.code == 0, allowed.err
    assert f"note: {label} is known to neither" in allowed.err
    assert f"does not perturb '{label}', and additive reads no gene embedding" in allowed.err


@pytest.fixture
def screen(tmp_path: Path, checkpoint: Path) -> Path:
    """Labels of perturbations that the model was not trained on, and of some that it was."""
    manifest = json.loads((checkpoint / "dygenept.json").read_text())
    folds = manifest["split"]["folds"]
    (seen, unseen) = (folds[0]["train"][0], folds[0]["test"])
    genes = ("KLF1", "MAPK1", "TP53", "NO_SUCH_GENE")
    singles = [label for label in unseen if label.count("+ctrl") or "+" not in label]
    rows = [(seen, "train"), *((label, "train") for label in singles[2:])]
    rows += [(label, "test") for label in singles[:2]]
    lines = [
        f"{label.replace('+ctrl', '')},{gene},{(row + column) % 2},{part}"
        for row, (label, part) in enumerate(rows)
        for column, gene in enumerate(genes)
    ]
    path = tmp_path / "screen.csv"
    path.write_text("pert,gene,label,split\n" + "\n".join(lines) + "\n")
    return path


def test_a_model_of_cells_is_scored_on_a_table(
    cli, checkpoint: Path, screen: Path, toy: Path
) -> None:
    asked = ("score", "--checkpoint", checkpoint, "--metric", "auroc_perturbation", "--json")
    result = cli(*asked, "--table", screen)
    assert result.code == 0, result.err
    document = result.json()
    (row,) = document["leaderboard"]
    assert row["model"].startswith("dygenept_small")
    assert "(cells of" in row["model"]
    assert row["n_perturbations"] == 2
    assert "are predicted not to change" in result.err
    # Where the roles are turned, the model has seen what is held out.
    turned = screen.read_text().replace("test", "x").replace("train", "test").replace("x", "train")
    screen.write_text(turned)
    refused = cli(*asked, "--table", screen)
    assert refused.code == 2
    assert "--allow-seen" in refused.err
    allowed = cli(*asked, "--table", screen, "--allow-seen")
    assert allowed.code == 0, allowed.err
    assert " seen)" in allowed.json()["leaderboard"][0]["model"]
    for wrong, message in (
        (("--table", toy), "dygenept evaluate"),
        (("--table", screen, "--dataset", toy), "give one of them"),
        (("--table", screen, "--predictions", screen), "either --predictions"),
    ):
        refused = cli(*asked[:3], *wrong)
        assert refused.code == 2
        assert message in refused.err


def test_every_pair_of_a_list_is_streamed_and_equals_single_predictions(
    cli, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dygenept.runs import sweep

    # Several blocks, of which the last is not full; HSPB1 is not perturbed in the data.
    monkeypatch.setattr(sweep, "BLOCK_VALUES", 60 * 2)
    (tmp_path / "genes.txt").write_text("# a comment\nKLF1\nJUN\n\nMAPK1\nKLF1\nHSPB1\n")
    asked = ("predict", "--checkpoint", checkpoint, "--output")
    listed = ("--genes", "genes.txt", "--combinations")
    found = cli(*asked, "pairs.parquet", *listed, "pairs")
    assert found.code == 0, found.err
    table = pl.read_parquet(tmp_path / "pairs.parquet")
    n_types = table["cell_type"].n_unique()
    assert table["perturbation"].unique(maintain_order=True).to_list() == [
        *("KLF1+JUN", "KLF1+MAPK1", "KLF1+HSPB1", "JUN+MAPK1", "JUN+HSPB1", "MAPK1+HSPB1")
    ]
    assert len(table) == 6 * n_types
    # The same genes are new to the model, so they get the same codes.
    named = [f for gene in ("JUN+MAPK1", "KLF1", "HSPB1") for f in ("--perturbation", gene)]
    one = cli(*asked, "one.parquet", *named)
    assert one.code == 0, one.err
    kept = pl.read_parquet(tmp_path / "one.parquet").filter(perturbation="JUN+MAPK1")
    for (cell_type,), part in kept.group_by("cell_type"):
        row = table.filter(perturbation="JUN+MAPK1", cell_type=cell_type)
        genes = part["gene_id"].to_list()
        assert row.select(genes).row(0) == pytest.approx(part["predicted"].to_list(), abs=1e-6)
    singles = cli(*asked, "singles.parquet", *listed, "singles")
    assert singles.code == 0, singles.err
    assert len(pl.read_parquet(tmp_path / "singles.parquet")) == 4 * n_types


def test_the_perturbation_whose_prediction_is_wanted_is_ranked_first(
    cli, checkpoint: Path, tmp_path: Path
) -> None:
    asked = ("--checkpoint", checkpoint)
    genes = ("KLF1", "JUN", "MAPK1", "BAK1", "TP53")
    (tmp_path / "genes.txt").write_text("\n".join(genes))
    named = [flag for gene in genes for flag in ("--perturbation", gene)]
    predicted = cli("predict", *asked, *named, "--output", "all.csv")
    assert predicted.code == 0, predicted.err
    table = pl.read_csv(tmp_path / "all.csv").filter(perturbation="MAPK1+ctrl")
    cell_type = table["cell_type"][0]
    mine = table.filter(cell_type=cell_type)
    mine.select("gene", pl.col("predicted").alias("expression")).write_csv(tmp_path / "state.csv")
    mine.select("gene_id", "delta").write_csv(tmp_path / "change.csv")
    for target, by in (("state.csv", "euclidean"), ("change.csv", "correlation")):
        found = cli(
            *("rank-perturbations", *asked, "--target", target, "--by", by, "--top", "3"),
            *("--genes", "genes.txt", "--cell-type", cell_type, "--json"),
        )
        assert found.code == 0, found.err
        rows = found.json()["ranking"]
        assert len(rows) == 3
        assert rows[0]["perturbation"] == "MAPK1+ctrl"
        assert rows[0]["distance"] == pytest.approx(0, abs=1e-4)
        assert rows[0]["correlation"] == pytest.approx(1, abs=1e-4)
        assert sum(row["share_first"] for row in rows) == pytest.approx(1)
        assert all(row["distance_sd"] > 0 for row in rows)
    shown = cli("rank-perturbations", *asked, "--target", "state.csv", "--cell-type", cell_type)
    assert "candidates in" in shown.out
    assert "±" in shown.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--genes", "genes.txt"), "--checkpoint"),
        (("--perturbation", "KLF1", "--genes", "genes.txt"), "either --perturbation"),
    ],
)
def test_a_sweep_says_what_it_needs(cli, flags: tuple[str, ...], said: str) -> None:
    found = cli("predict", "--dataset", "sim:dixit", *flags)
    assert found.code == 2
    assert said in found.err
