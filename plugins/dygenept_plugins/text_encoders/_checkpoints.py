"""Finds a text model's checkpoint on this machine: a folder, the data folder, or the HF cache."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from dygenept.plugin import DataUnavailableError

# Either file of a line will do; safetensors come first, since they cannot contain code.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
SETTINGS = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "merges.txt")
BLOCK = 1 << 20


def find_checkpoint(model: str, *, name: str, data_dir: Path | None = None) -> Path:
    """Return the folder of a model.

    Looks at ``model`` as a folder, then at ``<data folder>/<name>``, then in the Hugging Face
    cache; nothing is downloaded.

    Args:
        model: Path of a folder, or Hugging Face id.
        name: Folder within the data folder; empty where the model has none of its own.
        data_dir: Data folder; None takes the default.

    Raises:
        DataUnavailableError: If no folder has all files; says which are missing, and how to
            fetch them.
    """
    looked = _places(model, name, data_dir)
    for folder in looked:
        if not lacking_files(folder):
            return folder
    begun = [folder for folder in looked if folder.is_dir()]
    if begun:
        what = f"{begun[0]} lacks {', '.join(lacking_files(begun[0]))}"
    else:
        what = f"looked in {', '.join(map(str, looked)) or 'the Hugging Face cache'}"
    if _is_path(model):
        raise DataUnavailableError(
            f"no text model in the folder {model}: {what}; it must contain config.json, a "
            f"tokenizer ({' or '.join(TOKENIZERS[:2])}) and weights ({WEIGHTS[0]} or {WEIGHTS[2]})"
        )
    fetch = f"dygenept data fetch {name}, or: " if name else ""
    raise DataUnavailableError(
        f"the text model {model} is not on this machine ({what}); run: {fetch}hf download {model}; "
        "or give a folder that contains it as the option model. Offline, the encoders minilm and "
        "tfidf work"
    )


def lacking_files(folder: Path) -> tuple[str, ...]:
    """Return what a checkpoint folder lacks; alternatives are joined by ``or``."""
    lacking = [] if (folder / "config.json").is_file() else ["config.json"]
    for choices in (TOKENIZERS, WEIGHTS):
        if not any((folder / choice).is_file() for choice in choices):
            lacking.append(" or ".join((choices[0], choices[1 if choices is TOKENIZERS else 2])))
    return tuple(lacking)


def checkpoint_digest(folder: Path) -> str:
    """Return the SHA-256 of what determines a model's vectors: weights, tokenizer, settings."""
    files = _read_files(folder)
    stamp = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return _digest(files, stamp)


@functools.lru_cache(maxsize=8)
def _digest(files: tuple[Path, ...], stamp: tuple[tuple[int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, (size, _) in zip(files, stamp, strict=True):
        digest.update(f"{path.name}/{size}/".encode())
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _read_files(folder: Path) -> tuple[Path, ...]:
    names = [name for name in (*SETTINGS, *TOKENIZERS) if (folder / name).is_file()]
    weights = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is not None and weights.endswith(".index.json"):
        kind = "safetensors" if "safetensors" in weights else "bin"
        names += [path.name for path in sorted(folder.glob(f"*-of-*.{kind}"))]
    elif weights is not None:
        names.append(weights)
    return tuple(folder / name for name in names)


def _places(model: str, name: str, data_dir: Path | None) -> list[Path]:
    if _is_path(model):
        return [Path(model).expanduser()]
    from dygenept.machine.folders import default_data_dir, place_in

    base = data_dir or default_data_dir()
    original = (f"checkpoints/{name}", f"../checkpoints/{name}")
    places = [place_in(base, name, original)] if name else []
    cached = _cached_snapshot(model)
    return places if cached is None else [*places, cached]


def _is_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()


def _cached_snapshot(model: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json")
    except HFValidationError as error:
        raise DataUnavailableError(
            f"{model!r} is neither a folder nor a Hugging Face id such as organisation/model"
        ) from error
    return Path(found).parent if isinstance(found, str) else None
