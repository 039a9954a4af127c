"""Amounts of memory as people write them."""

from __future__ import annotations

import re

from dygenept.errors import ConfigError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", flags=re.IGNORECASE)


def parse_memory(text: str) -> int:
    """Read an amount of memory such as ``4G``, ``512M`` or ``1.5GiB``; units are powers of 1,024.

    Raises:
        ConfigError: If it is no such amount, or zero.
    """
    found = _AMOUNT.fullmatch(text.strip())
    amount = 0 if found is None else int(float(found[1]) * _UNITS[found[2].upper()])
    if amount <= 0:
        raise ConfigError(f"--memory {text!r} is not an amount of memory; write 4G or 512M")
    return amount
