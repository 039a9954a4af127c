"""Reads scGPT checkpoint folders in the published format; never unpickles code."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from dygenept.machine.reading import check_claim, reading
from dygenept.plugin import DataError, DataUnavailableError
from dygenept_plugins.networks.scgpt import ScGpt, ScGptSize
from dygenept_plugins.networks.scgpt_folder import (
    ARGS_FILE,
    VOCABULARY_FILE,
    WEIGHT_FILES,
    describe_missing,
    missing_files,
)
from dygenept_plugins.networks.scgpt_tokens import CLS, PAD, PAD_VALUE, Vocabulary

# Heads for pre-training tasks, which follow the hidden states and are not needed here.
IGNORED = (
    "flag_encoder.",
    "decoder.",
    "mvc_decoder.",
    "cls_decoder.",
    "sim.",
    "batch_encoder.",
    "grad_reverse_discriminator.",
)
N_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ScGptCheckpoint:
    """A checkpoint, read and checked.

    Attributes:
        size: Size of the transformer.
        n_bins: Bins of values that it was trained with.
        max_length: Longest sequence that it was trained with.
        vocabulary: Gene tokens.
        weights: State of ``ScGpt``.
    """

    size: ScGptSize
    n_bins: int
    max_length: int
    vocabulary: Vocabulary
    weights: dict[str, torch.Tensor]

    def build(self, *, dropout: float | None = None) -> ScGpt:
        """Build the transformer with these weights; ``dropout`` overrides the checkpoint's."""
        size = self.size if dropout is None else replace(self.size, dropout=dropout)
        # First weights that are replaced at once need not be drawn.
        with torch.device("meta"):
            network = ScGpt(size)
        weights = {name: value.float().clone() for name, value in self.weights.items()}
        network.load_state_dict(weights, assign=True)
        return network


def read_checkpoint(folder: Path) -> ScGptCheckpoint:
    """Read a checkpoint folder.

    Args:
        folder: Holds ``best_model.pt`` or ``model.safetensors``, ``vocab.json`` and ``args.json``.

    Raises:
        DataUnavailableError: If a file is missing.
        DataError: If a file is damaged, or weights, vocabulary and arguments do not fit together.
    """
    missing = missing_files(folder)
    if missing:
        raise DataUnavailableError(describe_missing(folder, missing))
    vocabulary = read_vocabulary(folder / VOCABULARY_FILE)
    arguments = _read_json(folder / ARGS_FILE)
    _check_style(arguments, folder / ARGS_FILE)
    weights_file = next(folder / name for name in WEIGHT_FILES if (folder / name).is_file())
    weights = rename_keys(_read_weights(weights_file))
    size = _size(arguments, vocabulary, folder / ARGS_FILE)
    _check_weights(weights, size, weights_file)
    return ScGptCheckpoint(
        size=size,
        n_bins=_integer(arguments, "n_bins", folder / ARGS_FILE, default=51),
        max_length=_integer(arguments, "max_seq_len", folder / ARGS_FILE, default=1200),
        vocabulary=vocabulary,
        weights=weights,
    )


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a ``vocab.json``: token of each gene symbol.

    Raises:
        DataError: If it is not a mapping to distinct positions, or lacks a special token.
    """
    tokens: dict[str, int] = {}
    for name, token in _read_json(path).items():
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise DataError(f"{path}: the token of {name!r} is {token!r}, not a position")
        tokens[name] = token
    missing = [name for name in (PAD, CLS) if name not in tokens]
    if missing:
        raise DataError(f"{path} has no token {missing[0]!r}; it is not scGPT's vocabulary")
    if len(set(tokens.values())) != len(tokens):
        raise DataError(f"{path}: two names share a token; it is not scGPT's vocabulary")
    return Vocabulary(tokens, max(tokens.values()) + 1)


def rename_keys(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give flash-attention weights their plain names and drop the task heads."""
    renamed = {}
    for name, value in weights.items():
        plain = name.removeprefix("module.")
        plain = plain.replace(".self_attn.Wqkv.", ".self_attn.in_proj_")
        if not plain.startswith(IGNORED):
            renamed[plain] = value
    return renamed


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    with reading(path, "tensors only", mend="download it again"):
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()
    ):
        raise DataError(f"{path} is not a flat mapping from names to tensors; is it scGPT's file?")
    n_bytes = sum(value.numel() * value.element_size() for value in loaded.values())
    check_claim(n_bytes, path.stat().st_size, str(path))
    return loaded


def _read_json(path: Path) -> dict[str, object]:
    with reading(path, "JSON", mend="download it again"):
        document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise DataError(f"{path} contains a {type(document).__name__}, not a JSON object")
    return document


def _check_style(arguments: dict[str, object], path: Path) -> None:
    """Refuse checkpoints whose input is encoded in a way that this project does not know."""
    known = {"input_emb_style": "continuous", "input_style": "binned", "pad_value": PAD_VALUE}
    for key, allowed in known.items():
        value = arguments.get(key, allowed)
        if value != allowed:
            raise DataError(f"{path}: {key} is {value!r}; only {allowed!r} is supported")


def _integer(arguments: dict[str, object], key: str, path: Path, default: int | None = None) -> int:
    value = arguments.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DataError(f"{path}: {key} is {value!r}, not a positive whole number")
    return value


def _size(arguments: dict[str, object], vocabulary: Vocabulary, path: Path) -> ScGptSize:
    dropout = arguments.get("dropout", 0.2)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise DataError(f"{path}: dropout is {dropout!r}; it must be at least 0 and below 1")
    d_model, n_heads = (_integer(arguments, key, path) for key in ("embsize", "nheads"))
    if d_model % n_heads:
        raise DataError(f"{path}: nheads {n_heads} does not divide embsize {d_model}")
    return ScGptSize(
        n_tokens=vocabulary.n_tokens,
        pad_token=vocabulary.pad,
        d_model=d_model,
        n_layers=_integer(arguments, "nlayers", path),
        n_heads=n_heads,
        d_hid=_integer(arguments, "d_hid", path),
        dropout=float(dropout),
    )


def _check_weights(weights: dict[str, torch.Tensor], size: ScGptSize, path: Path) -> None:
    """Compare names and shapes with what ``args.json`` and ``vocab.json`` promise."""
    if size.n_layers > len(weights):
        # Building as many layers as a damaged file asks for might never end.
        raise DataError(
            f"{path} has {len(weights)} weights, too few for the {size.n_layers} layers of "
            f"{ARGS_FILE}; the files are of different models"
        )
    with reading(path, "the scGPT model of its args.json"), torch.device("meta"):
        expected = {name: tuple(value.shape) for name, value in ScGpt(size).state_dict().items()}
    missing = sorted(set(expected) - set(weights))
    unexpected = sorted(set(weights) - set(expected))
    if missing or unexpected:
        raise DataError(
            f"{path} does not contain the scGPT model of its args.json: {_shown(missing)} missing, "
            f"{_shown(unexpected)} unexpected"
        )
    for name, shape in expected.items():
        found = tuple(weights[name].shape)
        if found != shape:
            source = VOCABULARY_FILE if name == "encoder.embedding.weight" else ARGS_FILE
            raise DataError(
                f"{path}: {name} has shape {found}, but {source} asks for {shape}; the files are "
                "of different models"
            )


def _shown(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return ", ".join(names[:N_SHOWN]) + more
