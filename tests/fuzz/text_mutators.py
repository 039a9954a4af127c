"""Damages bytes of any file, and lines, cells and values of texts, JSON and YAML."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

Mutate = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

LENGTHS = (0, 1, -1, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 50, (1 << 63) - 1, 1 << 63)

TEXTS = (
    *("", "nan", "NaN", "inf", "-1", "1e999", "0x10", "1_000", "null", "True", "\x00", "\ufeff"),
    *("\ud800", "é" * 40, "a" * 5000, "=1+1", "\x1b[31m", "../../etc/passwd", "ctrl", "KLF1+", "+"),
    *(
        "ENSG00000105610",
        "9" * 5000,
        "-0.0",
        "1" + "0" * 30,
        "\u2028",
        "KLF1\r\n",
        '"',
        "\\",
        "${a}",
    ),
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1 << 31, 1 << 63, 1 << 70, 10**400, 0.5, -1.5, 1e308),
    *(float("nan"), float("inf"), [], {}, [[]], {"a": []}, [None], "text", [1, 2], [[1], [2, 3]]),
)


def mutate_bytes(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Flip, cut, splice, swap and overwrite bytes anywhere."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        size = len(data)
        at = rng.randrange(size + 1)
        n = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(9):
            case 0 if size:
                data[at % size] ^= 1 << rng.randrange(8)
            case 1 if size:
                data[at % size] = rng.randrange(256)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + n]
            case 4:
                data[at:at] = data[rng.randrange(size + 1) :][:n]
            case 5:
                other = rng.choice(others) if others else content
                start = rng.randrange(len(other) + 1)
                data[at : at + n] = other[start : start + n]
            case 6:
                length = rng.choice(LENGTHS) & ((1 << 64) - 1)
                width = rng.choice((1, 2, 4, 8))
                data[at : at + width] = (length & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            case 7:
                data[at : at + n] = bytes([rng.choice((0, 255, 10, 34))]) * n
            case 8:
                data[at:at] = rng.randbytes(n)
    return bytes(data)


def mutate_text(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage lines and cells of a table or a list."""
    if rng.random() < 0.3:
        return mutate_bytes(content, rng, others)
    text = content.decode("utf-8", "replace")
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.randrange(len(lines))
        mark = next((mark for mark in ("\t", ",", " ", ":") if mark in lines[row]), "\t")
        cells = lines[row].split(mark)
        place = rng.randrange(len(cells))
        match rng.randrange(12):
            case 0 | 1 | 2:
                cells[place] = rng.choice(TEXTS)
                lines[row] = mark.join(cells)
            case 3:
                del cells[place]
                lines[row] = mark.join(cells)
            case 4:
                cells.insert(place, rng.choice(TEXTS))
                lines[row] = mark.join(cells)
            case 5:
                lines.insert(row, lines[rng.randrange(len(lines))])
            case 6:
                del lines[row:]
                lines.append("")
            case 7:
                lines[row] = rng.choice(('"' + lines[row], lines[row] + '"', lines[row].upper()))
            case 8:
                lines = ["\r".join(lines)]
            case 9:
                lines[row] = mark.join([*cells, *cells * rng.choice((1, 5, 50))])
            case 10:
                lines = [line.replace(mark, rng.choice((";", "\t", ",", "  "))) for line in lines]
            case 11:
                lines[row] = rng.choice(("", "#", "!", "\x00" * 9, "[Term]", "{", "["))
    changed = "\n".join(lines)
    encoding = rng.choice(("utf-8",) * 8 + ("utf-16", "latin-1", "utf-8-sig"))
    return changed.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Replace, drop, repeat or retype one part of a JSON document."""
    places = list(_places(value))
    if not places:
        return deepcopy(rng.choice(VALUES))
    holder, key = rng.choice(places)
    match rng.randrange(8):
        case 0 | 1 | 2:
            holder[key] = deepcopy(rng.choice((*VALUES, *TEXTS[:12])))
        case 3:
            del holder[key]
        case 4:
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"x": holder[key]}
        case 5:
            holder[key] = str(holder[key])
        case 6 if isinstance(holder, dict):
            holder[rng.choice((*TEXTS, key.upper(), key + "s"))] = holder.pop(key)
        case 7 if isinstance(holder, list):
            holder.append(deepcopy(rng.choice((holder[key], *VALUES))))
        case _:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
    return value


def mutate_json(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a JSON document, or one line of JSON lines."""
    dice = rng.random()
    if dice < 0.25:
        return mutate_bytes(content, rng, others)
    if dice < 0.28:
        deep = rng.choice((100, 3000, 200_000))
        return rng.choice((b"[" * deep, b'{"a":' * deep, b"[" * deep + b"]" * deep))
    lines = content.split(b"\n")
    is_lines = len(lines) > 1 and lines[0][:1] == b"{" and lines[0][-1:] == b"}"
    row = rng.randrange(max(len(lines) - 1, 1)) if is_lines else 0
    try:
        document = json.loads(lines[row] if is_lines else content)
        for _ in range(rng.choice((1, 1, 2, 4))):
            document = mutate_value(document, rng)
        changed = json.dumps(document).encode()
    except ValueError:
        return mutate_bytes(content, rng, others)
    if rng.random() < 0.05:
        # A key that occurs twice.
        changed = changed.replace(b"{", b'{"format": 0, "genes": [],', 1)
    return b"\n".join([*lines[:row], changed, *lines[row + 1 :]]) if is_lines else changed


def mutate_yaml(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a YAML document; some ask for code, for other values or for too much."""
    dice = rng.random()
    if dice < 0.5:
        return mutate_text(content, rng, others)
    if dice < 0.8:
        import yaml

        try:
            document = yaml.safe_load(content)
            return yaml.safe_dump(mutate_value(document, rng), allow_unicode=False).encode()
        # Seeds were damaged before; what is no YAML any more is damaged as bytes.
        except Exception:  # noqa: BLE001
            return mutate_bytes(content, rng, others)
    deep = rng.choice((40, 60, 3000))
    extra = rng.choice(
        (
            b"\na: !!python/object/apply:os.mkdir [SENTINEL]",
            b"\na: !!python/name:os.system",
            b"\na: !!binary aGFsbG8=\nb: !!timestamp 2001-12-14",
            b"\na: &a [*a]",
            b"\na: &a {b: *a}",
            b"\na: " + b"[" * deep + b"]" * deep,
            b"\na: " + b"{b: " * deep + b"}" * deep,
            b"\na: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]"
            b"\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]",
            b"\na: ${oc.env:HOME}",
            b"\na: ${b}\nb: ${a}",
            b"\n? [1, 2]\n: 3",
            b"\n<<: {a: 1}\n<<: [1]",
            b"\na: 0o777777777777777777777777777777",
            b"\na: 1:60:60:60",
            b"\n--- \na: 1",
            b"\n%YAML 9.9\n---\na: 1",
        )
    )
    return content + extra


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        for key in _keys(item):
            found.append((item, key))
            stack.append(item[key])
    return found


def _keys(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item)
    return list(range(len(item))) if isinstance(item, list) else []
