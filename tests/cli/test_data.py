from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_list_names_the_five_data_sets_and_their_stand_ins(cli) -> None:
    result = cli("data", "list", "--json")
    assert result.code == 0, result.err
    datasets = {row["name"]: row for row in result.json()["datasets"]}
    assert set(datasets) >= {
        "norman",
        "adamson",
        "dixit",
        "replogle_k562_essential",
        "replogle_rpe1_essential",
        "sim:norman",
        "sim:adamson",
        "sim:dixit",
        "sim:k562",
        "sim:rpe1",
    }
    assert "k562" in datasets["replogle_k562_essential"]["aliases"]
    assert "rpe1" in datasets["replogle_rpe1_essential"]["aliases"]
    assert not any(row["on_disk"] for row in datasets.values())


def test_list_is_a_table_for_people(cli) -> None:
    result = cli("data", "list")
    assert "replogle_k562_essential" in result.out


@pytest.mark.parametrize("width", [40, 80])
def test_a_list_has_no_column_that_nobody_can_fill(
    cli, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = cli("data", "list").out.splitlines()
    heads = [place for place, line in enumerate(lines) if line.startswith("  name ")]
    assert len(heads) > 5
    for start in heads:
        end = lines.index("", start) if "" in lines[start:] else len(lines)
        for heading in {"cells", "perts", "GB"} & set(lines[start].split()):
            stop = lines[start].index(heading) + len(heading)
            assert any(line[stop - 1].isdigit() for line in lines[start + 1 : end]), heading
        assert max(map(len, lines[start:end])) <= width + 12 * (width == 40)


def test_info_describes_a_file_and_a_data_set_that_is_not_on_disk(cli, toy: Path) -> None:
    content = cli("data", "info", toy, "--json").json()
    assert content["n_cells"] == 380
    assert len(content["sha256"]) == 64
    missing = cli("data", "info", "k562", "--json").json()
    assert missing["on_disk"] is False
    assert "n_cells" not in missing


def test_verify_prints_the_fingerprint(cli, toy: Path) -> None:
    result = cli("data", "verify", toy)
    assert result.code == 0
    assert "valid, sha256" in result.out


def test_simulate_writes_the_data_set_and_its_truth(cli, tmp_path: Path) -> None:
    output = tmp_path / "made.h5ad"
    result = cli("data", "simulate", "dixit", "--scale", "0.02", "--output", output)
    assert result.code == 0, result.err
    assert "SIMULATED data, draw 0" in result.err
    assert output.exists()
    info = cli("data", "info", output, "--json").json()
    assert (info["simulated"], info["draw"]) == (True, 0)
    assert any(path.name.startswith("made.truth") for path in tmp_path.iterdir())


def test_fetch_of_a_stand_in_puts_it_on_disk(cli) -> None:
    assert cli("data", "fetch", "sim:dixit@0.02").code == 0
    result = cli("bench", "--dataset", "sim:dixit@0.02", "--model", "additive", "--folds", "2")
    assert result.code == 0, result.err
    assert "SIMULATED" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "normann"), "did you mean 'norman'"),
        (("fetch", "k563"), "did you mean 'k562'"),
        (("simulate", "normal"), "did you mean 'norman'"),
        (("simulate", "norman", "--scale", "0"), "scale"),
        (("verify", "missing.h5ad"), "missing.h5ad"),
    ],
)
def test_wrong_requests_name_the_nearest(cli, arguments: tuple[str, ...], message: str) -> None:
    result = cli("data", *arguments)
    assert result.code == 2
    assert message in result.err


def test_list_shows_further_files_beside_the_data_sets(cli, tmp_path: Path) -> None:
    (tmp_path / "data" / "kg" / "reactome").mkdir(parents=True)
    for name in ("ReactomePathways.gmt", "NCBI2Reactome.txt"):
        (tmp_path / "data" / "kg" / "reactome" / name).write_text("x\ty\tz\n")
    assets = {row["name"]: row for row in cli("data", "list", "--json").json()["assets"]}
    assert assets.keys() >= {"string", "bioplex", "go", "reactome"}
    assert assets["reactome"]["on_disk"] is True
    assert assets["string"]["on_disk"] is False
    assert len(assets["string"]["missing"]) == 2
    assert "BioPlex 3.0" in cli("data", "list").out


def test_info_and_verify_of_an_asset(cli, tmp_path: Path) -> None:
    missing = cli("data", "verify", "go")
    assert missing.code == 2
    assert "dygenept data fetch go" in missing.err
    document = cli("data", "info", "go", "--json").json()
    assert document["kind"] == "asset"
    assert document["entry"]["files"][0]["url"].startswith("https://")
    assert "CC BY 4.0" in cli("data", "info", "go").out
    folder = tmp_path / "data" / "kg" / "go"
    folder.mkdir(parents=True)
    for name in ("goa_human.gaf.gz", "go-basic.obo"):
        (folder / name).write_text("x")
    refused = cli("data", "fetch", "go")
    assert refused.code == 2
    assert "goa_human.gaf.gz" in refused.err
    assert not list(folder.glob("*.json"))
    # Unpacked under the publisher's name, as one may put it there by hand.
    (folder / "go-basic.obo").write_text(
        "format-version: 1.2\n\n[Term]\nid: GO:0000001\n\n[Term]\nid: GO:0000002\n"
    )
    rows = [
        f"UniProtKB\tP1\t{gene}\tinvolved_in\t{term}\tPMID:1\tIDA\t\tP" + "\t" * 8
        for gene in ("KLF1", "GATA1")
        for term in ("GO:0000001", "GO:0000002")
    ]
    (folder / "goa_human.gaf.gz").write_text("!gaf-version: 2.2\n" + "\n".join(rows) + "\n")
    assert cli("data", "fetch", "go").code == 0
    assert len(cli("data", "verify", "go", "--json").json()["sha256"]) == 2


def test_fetch_of_an_unknown_name_knows_assets_too(cli) -> None:
    result = cli("data", "fetch", "reactom")
    assert result.code == 2
    assert "did you mean 'reactome'" in result.err


def test_fetch_that_fails_is_one_line_that_says_where_the_files_belong(cli, tmp_path: Path) -> None:
    registry = tmp_path / "mine.yaml"
    registry.write_text(
        "assets:\n  reactome:\n    files:\n"
        "      - {url: http://127.0.0.1:9/one, path: one.gmt}\n"
        "      - {url: http://127.0.0.1:9/two, path: two.txt}\n"
    )
    result = cli("data", "fetch", "reactome", "--registry", registry, "--quiet")
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    for expected in ("2 of 2", "kg/reactome/one.gmt", "kg/reactome/two.txt", "--kg gmt"):
        assert expected in line


def test_one_that_cannot_be_fetched_does_not_keep_the_others(cli, tmp_path: Path) -> None:
    registry = tmp_path / "mine.yaml"
    registry.write_text(
        "assets:\n  mine:\n    folder: kg/mine\n    files:\n"
        "      - {url: http://127.0.0.1:9/one, path: one.gmt}\n"
    )
    result = cli(
        "data", "fetch", "mine", "strng", "sim:dixit@0.02", "--registry", registry, "--quiet"
    )
    assert result.code == 2
    assert "sim:dixit@0.02 is at " in result.err
    for expected in ("kg/mine/one.gmt", "did you mean 'string'"):
        assert expected in result.err.splitlines()[-1]


def test_a_search_lists_only_what_has_its_words(cli) -> None:
    found = cli("data", "list", "--search", "norman et al", "--json").json()
    names = {row["name"] for row in found["datasets"]}
    assert names == {"norman", "scperturb_norman_2019", "perturbench_norman_2019"}
    assert found["assets"] == []
    further = cli("data", "list", "--search", "weights scGPT", "--json").json()["assets"]
    assert [row["name"] for row in further] == ["scgpt"]
    assert "nothing has 'no such screen'" in cli("data", "list", "--search", "no such screen").err


def test_a_list_on_a_terminal_of_80_columns_has_no_longer_row(
    cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dygenept.machine.terminal import safe_console
    from dygenept_cli import console

    monkeypatch.setattr(console, "stdout", lambda: safe_console(width=80))
    lines = cli("data", "list", "--search", "scperturb").out.splitlines()
    rows = [line for line in lines if line.startswith("  scperturb")]
    assert len(rows) == 27
    assert max(map(len, rows)) == 80


def test_info_of_a_published_screen_says_whom_to_cite_and_what_was_not_tried(cli) -> None:
    shown = cli("data", "info", "scperturb_norman_2019")
    assert shown.code == 0
    for part in ("111445", "Norman et al. 2019", "Peidli et al. 2024", "CC BY 4.0", "0.70 GB"):
        assert part in shown.out
    assert "not tried" in shown.out
    document = cli("data", "info", "scperturb_norman_2019", "--json").json()
    assert document["entry"]["md5"] == "c870e6967d91c017d9da827bab183cd6"
    assert document["published_cells"] == 111_445


def test_a_collection_is_not_downloaded_before_somebody_agrees(cli, tmp_path: Path) -> None:
    refused = cli("data", "fetch", "--all-of", "nadig_2025")
    assert refused.code == 2
    assert "2 of 2 data sets are not on disk" in refused.err
    assert "nadig_2025 takes 15.0 GB" in refused.err
    assert "pass --yes" in refused.err
    assert not (tmp_path / "data").exists()
    assert "--all-of" in cli("data", "fetch").err


def test_an_agreed_collection_is_fetched_one_after_another(cli, tmp_path: Path) -> None:
    registry = tmp_path / "mine.yaml"
    registry.write_text(
        "datasets:\n"
        "  a: {source: published, collection: lab, url: 'http://127.0.0.1:9/a', path: a.h5ad}\n"
        "  b: {source: published, collection: lab, url: 'http://127.0.0.1:9/b', path: b.h5ad}\n"
    )
    result = cli("data", "fetch", "--all-of", "lab", "--yes", "--registry", registry, "--quiet")
    assert result.code == 2
    assert "a.h5ad could not be fetched" in result.err
    assert "b.h5ad could not be fetched" in result.err


def test_cells_with_a_dropped_label_are_left_out(cli, toy: Path) -> None:
    whole = cli("data", "info", toy, "--json").json()
    import h5py

    with h5py.File(toy) as file:
        labels = file["obs/condition/categories"].asstr()[:]
        codes = file["obs/condition/codes"][:]
    label = next(text for text in labels if text != "ctrl")
    n_dropped = int((labels[codes] == label).sum())
    left = cli("data", "info", toy, "--drop", label, "--json").json()
    assert left["n_cells"] == whole["n_cells"] - n_dropped
    assert left["sha256"] != whole["sha256"]
    assert left["mapping"] == {"drop": [label]}
    assert any("were left out" in note for note in left["notes"])
    assert "did you mean" in cli("data", "info", toy, "--drop", f"{label}x").err


def test_prepare_writes_a_file_that_needs_no_flags_a_manifest_and_a_page(
    cli, toy: Path, tmp_path: Path
) -> None:
    ready = tmp_path / "ready.h5ad"
    steps = ("--fold", "1", "--variable", "20", "--modality", "CRISPRi", "--permutations", "9")
    result = cli("data", "prepare", toy, "--output", ready, *steps, "--quiet")
    assert result.code == 0, result.err
    assert "variable genes were chosen on" in result.err
    manifest = json.loads((tmp_path / "ready.manifest.json").read_text())
    assert manifest["variable_genes"]["cells"] == "control and train"
    assert manifest["genes"]["variable"] == 20
    assert len(manifest["screen"]["conditions"]) > 3
    assert (tmp_path / "ready.report.html").read_text().startswith("<!doctype html>")
    info = cli("data", "info", ready, "--json").json()
    assert info["n_genes"] == manifest["genes"]["kept"]
    assert info["mapping"] == {}
    again = cli("data", "prepare", ready, "--output", ready)
    assert again.code == 2
    assert "stays as it is" in again.err


def test_prepare_refuses_a_fold_that_is_not_there(cli, toy: Path, tmp_path: Path) -> None:
    asked = ("--fold", "7", "--variable", "20", "--output", tmp_path / "ready.h5ad")
    result = cli("data", "prepare", toy, *asked)
    assert result.code == 2
    assert "--fold 7: the split has 5 fold(s)" in result.err
    # Folds are counted from 1, as by `train` and `export`.
    assert cli("data", "prepare", toy, "--fold", "0", *asked[2:]).code == 2


@pytest.mark.filterwarnings("ignore")  # zarr itself says what may become of its formats
def test_a_registered_store_is_on_disk_and_described(cli, toy: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    import anndata

    anndata.read_h5ad(toy).write_zarr(tmp_path / "toy.zarr")
    registry = tmp_path / "mine.yaml"
    registry.write_text(f"datasets:\n  mine: {{source: file, path: {tmp_path / 'toy.zarr'}}}\n")
    asked = ("--registry", registry, "--json")
    (row,) = cli("data", "list", "--search", "mine", *asked).json()["datasets"]
    assert row["on_disk"] is True
    info = cli("data", "info", "mine", *asked).json()
    assert info["sha256"] == cli("data", "info", toy, "--json").json()["sha256"]
