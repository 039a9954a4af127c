from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

FIXTURES = Path(__file__).resolve().parents[1] / "plugins" / "scgpt_fixtures"


@pytest.fixture(scope="module")
def oracle() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "oracle.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, oracle: dict[str, np.ndarray]) -> Path:
    """The oracle's cells as controls in GEARS' layout, perturbed cells in between."""
    control = oracle["expression"]
    labels = np.array(["ctrl", "GENE3+ctrl", "GENE3+GENE9"])[np.arange(3 * len(control)) % 3]
    expression = np.repeat(control, 3, axis=0)
    names = [f"K562(?)_{label}_{'1' if label == 'ctrl' else '1+1'}" for label in labels]
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(labels),
            "cell_type": pd.Categorical(["K562(?)"] * len(labels)),
            "control": (labels == "ctrl").astype(int),
            "condition_name": pd.Categorical(names),
        },
        index=[f"cell-{number}" for number in range(len(labels))],
    )
    symbols = oracle["symbols"].tolist()
    var = pd.DataFrame({"gene_name": symbols}, index=[f"ENSG{n:05d}" for n in range(len(symbols))])
    path = tmp_path_factory.mktemp("embed") / "cells.h5ad"
    anndata.AnnData(sparse.csr_matrix(expression), obs=obs, var=var).write_h5ad(path)
    return path


def embed(cli, dataset: Path, output: Path, *arguments: str, checkpoint: Path = FIXTURES):
    return cli(
        "embed",
        *("--cell-encoder", "scgpt", "--checkpoint", checkpoint),
        *("--dataset", dataset, "--output", output, *arguments),
    )


def test_embed_writes_the_published_packages_cls_embedding_of_every_control_cell(
    cli, dataset: Path, oracle: dict[str, np.ndarray], tmp_path: Path
) -> None:
    result = embed(cli, dataset, tmp_path / "made" / "cells.npz")
    assert result.code == 0, result.err
    assert result.out == ""
    assert "Encode cells: 12 control cells" in result.err
    assert "2 genes are not in scGPT's vocabulary" in result.err
    assert "NOVEL1, NOVEL2" in result.err
    with np.load(tmp_path / "made" / "cells.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["cells", "embedding"]
        cells, embedding = arrays["cells"], arrays["embedding"]
    assert cells.tolist() == [f"cell-{number}" for number in range(0, 36, 3)]
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, oracle["cell_embedding"], atol=1e-5, rtol=0)


def test_embed_tells_in_json_what_it_did(cli, dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "cells.npz"
    result = embed(
        cli, dataset, output, "--json", "--set", "max_length=20", "--device", "cpu", "-q"
    )
    assert result.code == 0, result.err
    document = result.json()
    assert document["schema_version"] == 1
    assert (document["n_cells"], document["width"], document["options"]["pooling"]) == (
        12,
        16,
        "cls",
    )
    assert document["device"] == "cpu"
    assert document["output"] == str(output)
    unknown, cut = document["notes"]
    assert "2 genes are not in scGPT's vocabulary" in unknown
    assert "max_length 20" in cut


def test_batch_size_changes_nothing_and_pooling_does(
    cli, dataset: Path, oracle: dict[str, np.ndarray], tmp_path: Path
) -> None:
    found = {}
    for name, arguments in {
        "one": ("--set", "encode_batch=1"),
        "all": (),
        "mean": ("--set", "pooling=mean"),
    }.items():
        result = embed(cli, dataset, tmp_path / f"{name}.npz", *arguments)
        assert result.code == 0, result.err
        found[name] = np.load(tmp_path / f"{name}.npz")["embedding"]
    np.testing.assert_allclose(found["one"], found["all"], atol=1e-6)
    real = oracle["tokens"] != json.loads((FIXTURES / "vocab.json").read_text())["<pad>"]
    means = (oracle["hidden"] * real[..., None]).sum(1) / real.sum(1, keepdims=True)
    np.testing.assert_allclose(found["mean"], means, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "cells.csv"), "cannot write cells.csv: known: .npz"),
        (("--output", "c.npz"), "give --checkpoint DIR, or fetch them"),
        (("--output", "c.npz", "--checkpoint", "no/folder"), "lacks best_model.pt"),
        (
            ("--output", "c.npz", "--checkpoint", FIXTURES, "--set", "pooling=clss"),
            "cell_encoders.scgpt.pooling: Input should be 'cls'",
        ),
        (
            ("--output", "c.npz", "--checkpoint", FIXTURES, "--set", "poolin=cls"),
            "did you mean 'pooling'",
        ),
        (("--output", "c.npz", "--cell-encoder", "mlp"), "choose one of: scgpt"),
        (("--output", "c.npz", "--cell-encoder", "scgptt"), "did you mean 'scgpt'"),
    ],
)
def test_embed_says_in_one_line_what_is_wrong(
    cli, dataset: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("embed", "--dataset", dataset, *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert result.out == ""


OWN_ENCODER = """
import torch
from dygenept.plugin import CellEncoderSpec, PluginConfig, hookimpl

class OwnConfig(PluginConfig):
    scale: float = 1.0

class Own(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.scale = config.scale

    def prepare(self, pool):
        self.totals = torch.from_numpy(pool.expression.sum(axis=1))

    def forward(self, indices):
        return self.embed(indices)

    def embed(self, indices):
        return self.scale * self.totals[indices]

@hookimpl
def dygenept_cell_encoders():
    return [
        CellEncoderSpec(
            name="own", summary="Totals.", source="a test", config=OwnConfig,
            factory=lambda config, context: Own(config), embed_options={"scale": 2.0},
        )
    ]
"""


def test_any_plugin_with_an_embedding_embeds_with_options_of_its_own(
    cli, dataset: Path, oracle: dict[str, np.ndarray], tmp_path: Path
) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(OWN_ENCODER)
    asked = ("embed", "--plugin", plugin, "--dataset", dataset, "--device", "cpu", "-q")
    totals = oracle["expression"].sum(axis=1, keepdims=True)
    for sets, scale in ((), 2.0), (("--set", "scale=3"), 3.0):
        output = tmp_path / f"{scale}.npz"
        result = cli(*asked, "--cell-encoder", "own", "--output", output, "--json", *sets)
        assert result.code == 0, result.err
        assert result.json()["options"] == {"scale": scale}
        np.testing.assert_allclose(np.load(output)["embedding"], scale * totals, rtol=1e-5)
    refused = cli(*asked, "--output", tmp_path / "c.npz")
    assert "say which cell encoder: --cell-encoder X, one of: scgpt, own" in refused.err
    refused = cli(
        *asked, "--cell-encoder", "own", "--checkpoint", "x", "--output", tmp_path / "c.npz"
    )
    assert "'own' reads no checkpoint" in refused.err


def test_a_checkpoint_of_other_genes_is_refused(cli, dataset: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(FIXTURES, tmp_path / "other")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    renamed = {name if "<" in name else f"X{name}": token for name, token in vocabulary.items()}
    (folder / "vocab.json").write_text(json.dumps(renamed))
    result = embed(cli, dataset, tmp_path / "c.npz", checkpoint=folder)
    assert result.code == 2
    assert "is in scGPT's vocabulary" in result.err
    assert not (tmp_path / "c.npz").exists()


def test_a_benchmark_encodes_control_cells_once_and_its_records_name_what_scgpt_cannot_read(
    cli, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dygenept_plugins.networks.scgpt_cells import ScGptCellState

    encoded: list[int] = []
    encode = ScGptCellState._encode

    def counting(self: ScGptCellState, rows: np.ndarray):
        encoded.extend(rows.tolist())
        return encode(self, rows)

    monkeypatch.setattr(ScGptCellState, "_encode", counting)
    monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path / "home"))
    sets = {
        "cell_encoder.checkpoint": FIXTURES,
        "cell_encoder.n_layers": "null",
        "cell_encoder.d_model": "null",
        "cell_encoder.n_heads": "null",
        "cell_encoder.freeze_layers": -2,
        "training.epochs": 1,
        "training.n_members": 2,
    }
    result = cli(
        *("bench", "--dataset", dataset, "--folds", "2", "--model", "dygenept_small"),
        *("--facets", "go_tfidf"),
        *(part for key, value in sets.items() for part in ("--set", f"{key}={value}")),
    )
    assert result.code == 0, result.err
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/runs").iterdir()]
    assert len(records) == 2
    for record in records:
        assert any("2 genes are not in scGPT's vocabulary" in note for note in record["notes"])
    # Two folds of two members, each prepared for training and for prediction.
    assert sorted(encoded) == list(range(12))
