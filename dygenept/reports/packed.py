"""Arrays of numbers as short texts that a page can contain by the hundred thousand.

A number becomes two or three characters of a 64-letter alphabet: its place between the smallest
and the largest of its row. Two keep it to a 4,093rd of that range, three to a 262,141st.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.types import DoubleArray

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SIGNS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Packed:
    """One row of numbers.

    Attributes:
        low: The smallest.
        high: The largest.
        signs: ``digits`` signs for each number.
    """

    low: float
    high: float
    signs: str

    def document(self) -> list[object]:
        """Return it as the page reads it."""
        return [_brief(self.low), _brief(self.high), self.signs]


def pack(values: DoubleArray, *, digits: int = 2) -> Packed:
    """Pack a row.

    Args:
        values: (n,); NaN is kept as "undefined", infinity as "absent".
        digits: Signs for each number.
    """
    top = 64**digits - 3
    known = values[np.isfinite(values)]
    # Ends are rounded as they are written, so that what is unpacked lies where it was packed.
    low, high = (
        (_brief(float(end)) for end in (known.min(), known.max())) if len(known) else (0.0, 0.0)
    )
    span = high - low if high > low else 1.0
    with np.errstate(invalid="ignore"):
        places = np.clip(np.rint((values - low) / span * top), 0, top)
    places = np.where(np.isnan(values), top + 1, np.where(np.isinf(values), top + 2, places))
    codes = places.astype(np.int64)
    columns = [_SIGNS[codes >> (6 * place) & 63] for place in reversed(range(digits))]
    return Packed(low, high, np.stack(columns, axis=-1).tobytes().decode())


def pack_whole(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]], *, digits: int = 2) -> str:
    """Pack whole numbers from 0 to ``64**digits - 1``, whatever the shape, row by row."""
    columns = [_SIGNS[values >> (6 * place) & 63] for place in reversed(range(digits))]
    return np.stack(columns, axis=-1).tobytes().decode()


def _brief(value: float) -> float:
    return float(f"{value:.6g}")
