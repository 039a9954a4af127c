"""Numbers as people read them: few digits, never an exponent, a true minus sign.

What programs read (CSV, JSON) keeps numbers as they are.
"""

from __future__ import annotations

from math import floor, isfinite, log10

MINUS = "−"
MOST_DECIMALS = 8


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """Write a number with so many decimals.

    Args:
        value: The number.
        decimals: Digits behind the point.
        signed: Write a plus too.

    Returns:
        The number; what rounds to zero has no minus.
    """
    rounded = round(value, decimals) + 0.0
    text = f"{rounded:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", MINUS)


def brief(value: float) -> str:
    """Write a number with three decimals, and more where it is small."""
    if not isfinite(value):
        return str(value).replace("-", MINUS)
    size = abs(value)
    if 0 < size < 0.001:
        return fixed(value, min(1 - floor(log10(size)), MOST_DECIMALS))
    return fixed(value, 4 if 0 < size < 0.1 else 3)
