"""Small valid files of every format, made by the project's own writers and the usual libraries."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import fuzz.knowledge_seeds
import fuzz.readers
import fuzz.table_readers  # noqa: F401  what they contain is registered by the import
from fuzz.cell_seeds import SHAPE, SOURCE
from fuzz.text_seeds import MAKERS, seed


def make_seeds(folder: Path, names: tuple[str, ...]) -> None:
    """Write the files of some readers, a folder for each."""
    for name in names:
        target = folder / name
        target.mkdir(parents=True)
        MAKERS[name](target)


@seed("checksum")
def _(folder: Path) -> None:
    from dygenept.machine.checksums import verify_file

    (folder / "data.bin").write_bytes(b"x" * 64)
    verify_file(folder / "data.bin")
    assert (folder / "data.bin.sha256.json").is_file()


@seed("zip")
def _(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/file.tsv", "a\tb\n" * 200)
        archive.writestr("folder/other.txt", "x")


@seed("scgpt_pt", "scgpt_safetensors")
def _(folder: Path) -> None:
    source = SOURCE / "plugins" / "scgpt_fixtures"
    for name in ("args.json", "vocab.json"):
        shutil.copy(source / name, folder / name)
    if folder.name.endswith("pt"):
        shutil.copy(source / "best_model.pt", folder / "best_model.pt")
        return
    import torch
    from safetensors.torch import save_file

    weights = torch.load(source / "best_model.pt", weights_only=True)
    save_file(
        {name: value.contiguous().clone() for name, value in weights.items()},
        folder / "model.safetensors",
    )


@seed("scgpt_cache")
def _(folder: Path) -> None:
    import numpy as np
    import torch

    from dygenept_plugins.networks.scgpt_cache_files import CacheFolder

    cache = CacheFolder(folder, "f" * 32, torch.float32, 4)
    cache.path.mkdir()
    cache.write([b"a" * 16, b"b" * 16], np.array([2, 3]), [torch.ones(5, 4)])
    (shard,) = cache.path.glob("*.safetensors")
    shutil.move(shard, folder / "cells.safetensors")
    cache.path.rmdir()


@seed("checkpoint")
def _(folder: Path) -> None:
    from fuzz.readers import training

    network, optimizer, average, checkpoint = training(folder)
    import torch

    from dygenept.model.training.checkpoint import TrainingState

    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    average.update()
    best = {name: value.clone() for name, value in network.state_dict().items()}
    state = TrainingState(1, 1, torch.tensor(0.5), [0.5], [0.1], 1, 0.1, best)
    checkpoint.save(state, network=network, optimizer=optimizer, average=average)


@seed("saved_model")
def _(folder: Path) -> None:
    from dygenept.testing import ToyShape, write_toy_h5ad
    from dygenept_cli.main import app

    path = write_toy_h5ad(folder / "cells.h5ad", ToyShape(**SHAPE))
    command = [
        "train",
        "--dataset",
        str(path),
        "--model",
        "dygenept_small",
        "--folds",
        "2",
        "--output",
        str(folder),
    ]
    app([*command, "--set", "training.epochs=1"], standalone_mode=False)
    path.unlink()
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for extra in (*folder.glob("*.sha256.json"), *folder.glob("*.lock")):
        extra.unlink()


if __name__ == "__main__":
    make_seeds(Path(sys.argv[1]), tuple(sys.argv[2:]) or tuple(MAKERS))
