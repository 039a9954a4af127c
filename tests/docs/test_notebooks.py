"""The notebooks run as they are, and objects show themselves in them as tables."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from dygenept.runs.bench_result import BenchResult
from dygenept.testing import toy_data
from dygenept.types.data import html_table

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
# What the end of some cell of each must show.
SHOWN = {
    "own_data": "additive",
    "own_model": "even",
    "quick_start": "SIMULATED DATA",
}


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_runs(
    path: Path, tmp_path: Path, computed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DYGENEPT_HOME", str(computed))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kernels = tmp_path / "kernels" / "here"
    kernels.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": "here", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="here", resources=resources).execute()
    pages = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert any(SHOWN[path.stem] in page for page in pages)
    assert all(not cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)


def test_a_data_set_shows_what_it_contains() -> None:
    page = toy_data()._repr_html_()
    assert "SIMULATED DATA · toy" in page
    assert '<th scope="row">perturbations</th><td>16</td>' in page
    assert "380, 60 of them control" in page


def test_a_data_set_is_printed_in_a_line() -> None:
    data = toy_data()
    types = data.cell_types[0] if len(data.cell_types) == 1 else f"{len(data.cell_types)} types"
    assert repr(data) == (
        f"<PerturbationData toy, simulated: 380 cells × {data.n_genes} genes, 16 perturbations in "
        f"{types}>"
    )
    real = dataclasses.replace(data, is_simulated=False, cell_types=("K562",))
    assert repr(real) == (
        f"<PerturbationData toy: 380 cells × {data.n_genes} genes, 16 perturbations in K562>"
    )


def test_a_split_shows_its_folds() -> None:
    from dygenept.types import Fold, Split

    folds = (Fold(("A", "B"), ("C",), ("D<",)), Fold(("A", "D<"), ("B",), ("C",)))
    page = Split("kfold", 1, 42, "abc", folds)._repr_html_()
    assert '<th scope="row">1</th><td>2</td><td>1</td><td>1</td><td>D&lt;</td>' in page


def test_a_table_escapes_everything() -> None:
    page = html_table("<a>", [("<b>", "<c>")], head=("<d>", "e"))
    assert [page.count(text) for text in ("<a>", "<b>", "<c>", "<d>")] == [0, 0, 0, 0]
    assert '<th scope="col">&lt;d&gt;</th>' in page


def test_a_board_and_a_record_show_their_means() -> None:
    import dygenept as dg

    result = dg.bench(toy_data(), ["perturbed_mean", "control_mean"], folds=2)
    assert isinstance(result, BenchResult)
    page = result._repr_html_()
    assert page.count("<tr>") == 3
    assert "SIMULATED DATA · toy, 2 folds" in page
    record = result.records[0]._repr_html_()
    assert "perturbed_mean on toy" in record
    assert '<th scope="row">mse</th><td>' in record
