"""What frozen layers make of control cells, computed once and kept in memory or on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from dygenept.plugin import ConfigError
from dygenept_plugins.networks.scgpt_cache_files import CacheFolder, StoredCells
from dygenept_plugins.networks.scgpt_states import Encoder, FrozenStates, Int64Array, PoolCells

logger = logging.getLogger(__name__)

Place = Literal["auto", "memory", "disk", "off"]

SHARE_OF_FREE = 0.5
MAX_DISK_BYTES = 64_000_000_000
FALLBACK_MEMORY = 4_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """Where and how states are kept.

    Attributes:
        place: ``memory``, ``disk`` (memory-mapped files), ``off``, or ``auto``: disk where other
            folds and runs meet the same weights, memory otherwise.
        dtype: float32 or bfloat16.
        max_bytes: Bytes that it may take; None takes half of what is free, and of a disk at most
            64 GB. On disk the bound is for all weights together.
        max_cells: Cells that it may contain; None for every cell.
        folder: Where files go; None for none.
        is_lasting: True for weights that other folds and runs have too.
    """

    place: Place = "auto"
    dtype: torch.dtype = torch.float32
    max_bytes: int | None = None
    max_cells: int | None = None
    folder: Path | None = None
    is_lasting: bool = False

    def places(self) -> tuple[str, ...]:
        """Return where states may be kept, best first.

        Raises:
            ConfigError: If the disk is asked for without a folder.
        """
        if self.place == "disk" and self.folder is None:
            raise ConfigError(
                "cell_encoder.cache is disk, but this run has no cache folder; choose memory"
            )
        if self.place == "auto":
            return ("disk", "memory") if self.folder and self.is_lasting else ("memory",)
        return () if self.place == "off" else (self.place,)


def keep_states(
    cells: PoolCells,
    encoder: Encoder,
    *,
    options: CacheOptions,
    device: torch.device,
    previous: FrozenStates | None = None,
) -> FrozenStates | None:
    """Compute the states of as many cells as fit and keep them.

    Args:
        cells: The pool's cells.
        encoder: Runs the frozen layers.
        options: Where and how.
        device: Where training runs; states are kept there if they fit, else on the CPU.
        previous: States of an earlier pool; what it shares with this one is not computed again.

    Returns:
        The states; None where nothing is kept.

    Raises:
        ConfigError: If the disk is asked for without a folder.
    """
    fitting = {place: _fitting(cells, options, place, device) for place in options.places()}
    if not fitting or not len(cells.keys):
        return None
    chosen = max(fitting, key=lambda place: len(fitting[place]))
    rows = fitting[chosen]
    if len(rows) < len(cells.keys) and options.max_cells is None:
        logger.warning(
            "outputs of scGPT's frozen layers over %d control cells take %.1f GB; %d cells fit into"
            " cell_encoder.cache_bytes, the others are computed again in each batch",
            len(cells.keys),
            cells.row_bytes(options.dtype).sum() / 1e9,
            len(rows),
        )
    if previous is not None and previous.cells.fingerprint != cells.fingerprint:
        previous = None
    if chosen == "disk" and options.folder is not None:
        try:
            previous = _on_disk(cells, rows, encoder, options.folder, options, device)
        except OSError as error:
            logger.warning("no cache on disk (%s); states are kept in memory", error)
            rows = _fitting(cells, options, "memory", device)
        else:
            if device.type == "cpu" or previous.n_bytes > _budget("memory", options, device):
                return previous
    if not len(rows):
        return None
    size = int(cells.row_bytes(options.dtype)[rows].sum())
    home = device if size <= _free_bytes(device) * SHARE_OF_FREE else torch.device("cpu")
    return _in_memory(cells, rows, encoder, options.dtype, home, previous)


def _fitting(
    cells: PoolCells, options: CacheOptions, place: str, device: torch.device
) -> Int64Array:
    """Positions of the first cells that fit."""
    sizes = np.cumsum(cells.row_bytes(options.dtype))
    n_fit = int(np.searchsorted(sizes, _budget(place, options, device), side="right"))
    return np.arange(n_fit if options.max_cells is None else min(n_fit, options.max_cells))


def _in_memory(
    cells: PoolCells,
    rows: Int64Array,
    encoder: Encoder,
    dtype: torch.dtype,
    device: torch.device,
    previous: FrozenStates | None,
) -> FrozenStates:
    n_rows = cells.n_rows
    first = np.zeros(len(n_rows), dtype=np.int64)
    first[rows] = np.cumsum(n_rows[rows]) - n_rows[rows]
    segment = np.full(len(n_rows), -1, dtype=np.int64)
    segment[rows] = 0
    states = torch.empty(int(n_rows[rows].sum()), cells.width, dtype=dtype, device=device)
    known = {} if previous is None else previous.positions()
    missing = []
    for row in rows.tolist():
        if previous is not None and (found := known.get(cells.keys[row])) is not None:
            states[first[row] : first[row] + n_rows[row]] = previous.packed(found)
        else:
            missing.append(row)
    for bucket, packed in _encoded(cells, encoder, np.array(missing, dtype=np.int64)):
        start = 0
        for row in bucket.tolist():
            states[first[row] : first[row] + n_rows[row]] = packed[start : start + n_rows[row]]
            start += n_rows[row]
    return FrozenStates(cells, (states,), segment, first)


def _on_disk(
    cells: PoolCells,
    rows: Int64Array,
    encoder: Encoder,
    folder: Path,
    options: CacheOptions,
    device: torch.device,
) -> FrozenStates:
    store = CacheFolder(folder, cells.fingerprint, dtype=options.dtype, width=cells.width)
    # A second process waits here and then finds what the first one wrote.
    with store.locked():
        stored = store.read()
        places = {row: _place(cells.keys[row], stored) for row in rows.tolist()}
        # What was used last is removed last.
        for number in {place[0] for place in places.values() if place is not None}:
            os.utime(stored[number].path)
        missing = np.array([row for row, place in places.items() if place is None], dtype=np.int64)
        if len(missing):
            n_bytes = int(cells.row_bytes(options.dtype)[missing].sum())
            store.make_room(n_bytes, _budget("disk", options, device))
            order = np.concatenate(encoder.buckets(cells.lengths[missing]))
            store.write(
                [cells.keys[row] for row in missing[order].tolist()],
                cells.n_rows[missing[order]],
                (packed for _, packed in _encoded(cells, encoder, missing)),
            )
            stored = store.read()
    segment = np.full(len(cells.keys), -1, dtype=np.int64)
    first = np.zeros(len(cells.keys), dtype=np.int64)
    for row in rows.tolist():
        if (place := _place(cells.keys[row], stored)) is not None:
            segment[row], first[row] = place
    return FrozenStates(cells, tuple(part.states for part in stored), segment, first)


def _place(key: bytes, stored: tuple[StoredCells, ...]) -> tuple[int, int] | None:
    for number, part in enumerate(stored):
        if key in part.first:
            return number, part.first[key]
    return None


def _encoded(
    cells: PoolCells, encoder: Encoder, rows: Int64Array
) -> Iterator[tuple[Int64Array, torch.Tensor]]:
    """Run the frozen layers over cells, those of like length together."""
    done = 0
    if len(rows):
        encoder.report(done, len(rows))
    for bucket in encoder.buckets(cells.lengths[rows]):
        yield rows[bucket], encoder.encode(rows[bucket])
        done += len(bucket)
        encoder.report(done, len(rows))


def _budget(place: str, options: CacheOptions, device: torch.device) -> int:
    if options.max_bytes is not None:
        return options.max_bytes
    if place == "disk" and options.folder is not None:
        return min(MAX_DISK_BYTES, int(CacheFolder.room(options.folder) * SHARE_OF_FREE))
    return int(max(_free_bytes(device), _free_bytes(torch.device("cpu"))) * SHARE_OF_FREE)


def _free_bytes(device: torch.device) -> int:
    """Memory that is free; on Linux, what the kernel counts as available."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return FALLBACK_MEMORY
