"""Damages files: their suffix tells how."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from fuzz.hdf5_mutators import mutate_h5ad
from fuzz.packed_mutators import (
    mutate_gzip,
    mutate_parquet,
    mutate_pickle,
    mutate_safetensors,
    mutate_zip,
)
from fuzz.text_mutators import Mutate, mutate_bytes, mutate_json, mutate_text, mutate_yaml

MUTATORS: dict[str, Mutate] = {
    ".h5ad": mutate_h5ad,
    ".json": mutate_json,
    ".jsonl": mutate_json,
    ".yaml": mutate_yaml,
    ".npz": mutate_zip,
    ".zip": mutate_zip,
    ".pt": mutate_zip,
    ".gz": mutate_gzip,
    ".safetensors": mutate_safetensors,
    ".parquet": mutate_parquet,
    ".pickle": mutate_pickle,
}

# What describes groups and arrays of zarr's version 2; version 3 has zarr.json.
ZARR_2 = (".zgroup", ".zarray", ".zattrs", ".zmetadata")


def mutated(name: str, content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return a damaged version of a file; its suffix tells how it can be damaged."""
    suffix = Path(name).suffix
    if Path(name).name in ZARR_2:
        return mutate_json(content, rng, others)
    if ".zarr/" in name and suffix != ".json":
        return mutate_bytes(content, rng, others)
    return MUTATORS.get(suffix, mutate_text)(content, rng, others)
