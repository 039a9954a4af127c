"""Where scGPT checkpoints lie and which files they need; loads no heavy library."""

from __future__ import annotations

from pathlib import Path

VOCABULARY_FILE, ARGS_FILE = "vocab.json", "args.json"
WEIGHT_FILES = ("best_model.pt", "model.safetensors")
CHECKPOINTS = "scgpt"


def checkpoint_folder(checkpoint: str, data_dir: str | None = None) -> Path:
    """Return the folder that a ``checkpoint`` option means.

    Args:
        checkpoint: A path, which may be relative to the data folder; or a fetched name, in
            ``scgpt`` of the data folder or in the original model's ``checkpoints/scgpt``.
        data_dir: The data folder; None means the default one.
    """
    from dygenept.machine.folders import default_data_dir, place_in

    path = Path(checkpoint).expanduser()
    base = default_data_dir() if data_dir is None else Path(data_dir).expanduser()
    if path.is_dir():
        return path
    if len(path.parts) > 1:
        return base / path if (base / path).is_dir() else path
    name = f"{CHECKPOINTS}/{checkpoint}"
    return place_in(base, name, (f"checkpoints/{name}", f"../checkpoints/{name}"))


def missing_files(folder: Path) -> tuple[str, ...]:
    """Name the files of a checkpoint that a folder lacks; reads nothing else."""
    missing = [name for name in (VOCABULARY_FILE, ARGS_FILE) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        missing.insert(0, WEIGHT_FILES[0])
    return tuple(missing)


def describe_missing(folder: Path, missing: tuple[str, ...]) -> str:
    """Say what is missing where, and how to get it or go without."""
    return (
        f"the scGPT checkpoint in {folder} lacks {', '.join(missing)}; fetch whole_human with "
        "`dygenept data fetch scgpt` or by hand from the README of github.com/bowang-lab/scGPT, or "
        "use --model dygenept_small, which needs no weights"
    )
