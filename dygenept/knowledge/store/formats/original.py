"""The original model's tensor file: ``{tensor, gene_to_idx, facet_names, confidence}``.

As PyTorch (``.pt``), as ``.npz`` or as ``.safetensors``. None of them is unpickled: PyTorch files
are read by torch's own reader of weights, which knows only tensors and plain values.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import ConfigError, DataError, nearest
from dygenept.machine.checksums import file_sha256
from dygenept.machine.reading import check_claim, read_arrays, reading
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import GeneKnowledge

SUFFIXES = (".pt", ".pth", ".npz", ".safetensors")
FIELDS = ("tensor", "gene_to_idx", "facet_names", "confidence")


def read_original(path: Path) -> GeneKnowledge:
    """Read an original tensor file.

    Rows that no gene points to are left out. Where the file has no confidence, a facet is known
    (confidence 1) if its vector is not all zeros.

    Args:
        path: A ``.pt``, ``.pth``, ``.npz`` or ``.safetensors`` file.

    Raises:
        DataError: If it is damaged, contains other things than these, or breaks a rule.
    """
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    with reading(path, "an original tensor file"):
        document = readers.get(path.suffix.lower(), _read_torch)(path)
        return _checked(document, path)


def _checked(document: Mapping[str, object], path: Path) -> GeneKnowledge:
    for field in FIELDS[:3]:
        if field not in document:
            raise DataError(
                f"{path} lacks {field!r}; an original tensor file contains {', '.join(FIELDS)}"
            )
    tensor = _numbers(document["tensor"], path, "tensor")
    if tensor.ndim != 3:
        raise DataError(f"{path}: tensor is {tensor.shape}, expected (genes, facets, D)")
    genes, rows = _genes(document["gene_to_idx"], len(tensor), path)
    facet_names = _names(document["facet_names"], path, "facet_names")
    values = tensor[rows]
    if document.get("confidence") is None:
        confidence = (values != 0).any(axis=-1).astype(np.float32)
    else:
        given = _numbers(document["confidence"], path, "confidence")
        if given.shape != tensor.shape[:2]:
            raise DataError(f"{path}: confidence is {given.shape}, expected {tensor.shape[:2]}")
        confidence = given[rows]
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise DataError(f"{path} contains confidence outside [0, 1]")
    values[confidence == 0] = 0.0
    if not np.isfinite(values).all():
        raise DataError(f"{path} contains NaN or infinite values")
    return GeneKnowledge(
        name=path.stem,
        sha256=file_sha256(path),
        genes=genes,
        facet_names=facet_names,
        values=values,
        confidence=confidence,
    )


def write_original(knowledge: GeneKnowledge, path: Path) -> None:
    """Write an original tensor file; the suffix says which form.

    Args:
        knowledge: Facets of genes.
        path: A ``.pt``, ``.npz`` or ``.safetensors`` file; replaced as a whole.

    Raises:
        ConfigError: If the suffix is another.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"cannot write an original tensor file as {path.name!r}; {nearest(suffix, SUFFIXES)}"
        )
    tensor = np.ascontiguousarray(knowledge.values, dtype=np.float32)
    confidence = np.ascontiguousarray(knowledge.confidence, dtype=np.float32)
    gene_to_idx = {gene: row for row, gene in enumerate(knowledge.genes)}
    with replaced_whole(path) as temporary:
        if suffix == ".npz":
            with temporary.open("wb") as stream:
                np.savez(
                    stream,
                    tensor=tensor,
                    genes=np.array(knowledge.genes, dtype=str),
                    facet_names=np.array(knowledge.facet_names, dtype=str),
                    confidence=confidence,
                )
        elif suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file(
                {"tensor": tensor, "confidence": confidence},
                temporary,
                metadata={
                    "gene_to_idx": json.dumps(gene_to_idx),
                    "facet_names": json.dumps(knowledge.facet_names),
                },
            )
        else:
            import torch

            document = {
                "tensor": torch.from_numpy(tensor),
                "gene_to_idx": gene_to_idx,
                "facet_names": list(knowledge.facet_names),
                "confidence": torch.from_numpy(confidence),
            }
            torch.save(document, temporary)


def _read_torch(path: Path) -> Mapping[str, object]:
    import pickle

    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
            # Advice on pickle protocols, which are read or refused in any case.
            warnings.simplefilter("ignore")
            document = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL\s+([\w.]+)", str(error))
        held = f"the name {name[1]}" if name else "more than tensors and plain values"
        raise DataError(
            f"{path} is refused: it contains {held}, and loading that may run any code; or it is "
            "damaged. Ask its maker for an .npz or .safetensors file"
        ) from error
    if not isinstance(document, Mapping):
        raise DataError(
            f"{path} contains a {type(document).__name__}; an original tensor file contains "
            f"a dict of {', '.join(FIELDS)}"
        )
    return {str(name): value for name, value in document.items()}


def _read_npz(path: Path) -> Mapping[str, object]:
    document: dict[str, object] = {**read_arrays(path)}
    if "gene_to_idx" not in document and "genes" in document:
        genes = _names(document["genes"], path, "genes")
        if len(set(genes)) != len(genes):
            raise DataError(f"{path} names a gene twice")
        document["gene_to_idx"] = {gene: row for row, gene in enumerate(genes)}
    return document


def _read_safetensors(path: Path) -> Mapping[str, object]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata() or {}
        document: dict[str, object] = {
            name: opened.get_tensor(name) for name in opened.keys() if name in FIELDS
        }
    for field in ("gene_to_idx", "facet_names"):
        if field in metadata:
            document[field] = json.loads(metadata[field])
    return document


def _genes(given: object, n_rows: int, path: Path) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    if not isinstance(given, Mapping) or not given:
        raise DataError(f"{path}: gene_to_idx must map gene symbols to rows")
    pairs = []
    for gene, row in given.items():
        if not isinstance(gene, str) or not isinstance(row, int) or not 0 <= row < n_rows:
            raise DataError(
                f"{path}: gene_to_idx maps {gene!r} to {row!r}, expected a row below {n_rows}"
            )
        pairs.append((row, gene))
    pairs.sort()
    return tuple(gene for _, gene in pairs), np.array([row for row, _ in pairs], dtype=np.int64)


def _names(given: object, path: Path, field: str) -> tuple[str, ...]:
    items: object = given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        raise DataError(f"{path}: {field} must be a list of texts")
    names = tuple(items)
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: {field} must be a list of texts")
    return names


def _numbers(given: object, path: Path, field: str) -> npt.NDArray[np.float32]:
    if hasattr(given, "detach"):
        tensor: Any = given
        # A view of one number may be of any size.
        check_claim(4 * tensor.numel(), path.stat().st_size, f"{path}: {field}")
        given = tensor.detach().float().numpy()
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu":
        raise DataError(f"{path}: {field} must be an array of numbers")
    return np.array(given, dtype=np.float32)


def _numpy_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What numpy arrays in a PyTorch file need: all of them build arrays and nothing else."""
    from numpy._core.multiarray import _reconstruct

    dtypes = [type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8")]
    both = [
        (_reconstruct, f"{core}.multiarray._reconstruct") for core in ("numpy.core", "numpy._core")
    ]
    return [*both, np.ndarray, np.dtype, *dtypes]
