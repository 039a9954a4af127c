"""The page of a screen: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median

N_BARS = 24
N_LISTED = 12
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1c1c; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .15rem .9rem .15rem 0;
       text-align: left } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
th { border-bottom: 1px solid #999 } svg { margin: .3rem 0 1rem } .note { color: #555 }
"""


def page(manifest: Mapping[str, object], screen: Mapping[str, object]) -> str:
    """Return the page.

    Args:
        manifest: What a preparation did.
        screen: What ``describe_screen`` gives.
    """
    conditions = _rows(screen["conditions"])
    name = escape(str(screen["name"]))
    label = " (SIMULATED)" if screen["simulated"] else ""
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{name}</title>",
        f"<style>{_STYLE}</style><h1>{name}{label}</h1>",
        _overview(manifest, screen, conditions),
        _histogram(conditions, "n_cells", "Cells per perturbation"),
        _effects(conditions, screen),
        _histogram(conditions, "split_half_r", "Reliability: correlation of two halves' changes"),
        _targets(manifest),
        _batches(_rows(screen["batches"])),
        _notes(manifest),
        "</html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _overview(
    manifest: Mapping[str, object],
    screen: Mapping[str, object],
    conditions: Sequence[Mapping[str, object]],
) -> str:
    left_out = manifest["left_out"]
    cells, genes = manifest["cells"], manifest["genes"]
    controls = screen["controls"]
    rows: list[tuple[str, object]] = [
        ("cells kept", _of(cells)),
        ("genes kept", _of(genes)),
        ("perturbations", len({str(of["perturbation"]) for of in conditions})),
    ]
    if isinstance(controls, Mapping):
        rows += [(f"control cells, {kind}", n) for kind, n in controls.items()]
    if isinstance(left_out, Mapping):
        rows += [(f"left out: {key.replace('_', ' ')}", n) for key, n in left_out.items() if n]
    return _table(("", ""), [(key, value) for key, value in rows], numbers=(1,))


def _of(part: object) -> str:
    assert isinstance(part, Mapping)
    return f"{part['kept']:,} of {part['in']:,}"


def _effects(conditions: Sequence[Mapping[str, object]], screen: Mapping[str, object]) -> str:
    found = [of for of in conditions if isinstance(of["energy_distance"], float)]
    if not found:
        return ""
    ordered = sorted(found, key=lambda of: -float(str(of["energy_distance"])))
    tested = [of for of in found if isinstance(of["q"], float)]
    said = ""
    if tested:
        n = sum(float(str(of["q"])) < 0.05 for of in tested)
        said = (
            f"<p>{n} of {len(tested)} conditions differ from control at a false discovery rate of "
            f"5 % ({screen['permutations']} permutations).</p>"
        )
    columns = ("perturbation", "cell_type", "n_cells", "change", "energy_distance", "q")
    rows = [tuple(of[column] for column in columns) for of in ordered[:N_LISTED]]
    return (
        _histogram(conditions, "energy_distance", "Strength: energy distance to control")
        + said
        + f"<h2>Strongest {len(rows)}</h2>"
        + _table(columns, rows, numbers=(2, 3, 4, 5))
    )


def _targets(manifest: Mapping[str, object]) -> str:
    targets = manifest["targets"]
    if not isinstance(targets, Mapping):
        return ""
    rows = [(key.replace("_", " "), value) for key, value in targets.items()]
    return "<h2>Do targets move as the modality says?</h2>" + _table(("", ""), rows, numbers=(1,))


def _batches(batches: Sequence[Mapping[str, object]]) -> str:
    if not batches:
        return ""
    columns = tuple(batches[0])
    shares = [float(str(of["share_of_conditions"])) for of in batches]
    few = sum(int(str(of["n_controls"])) < 10 for of in batches)
    return (
        f"<h2>Batches</h2><p>{len(batches)} batches; a batch has a median of "
        f"{median(shares):.0%} of the conditions; {few} have fewer than 10 control cells.</p>"
        + _table(columns, [tuple(of.values()) for of in batches[:N_LISTED]], numbers=(1, 2, 3))
        + (
            f"<p class='note'>… and {len(batches) - N_LISTED} more</p>"
            if len(batches) > N_LISTED
            else ""
        )
    )


def _notes(manifest: Mapping[str, object]) -> str:
    notes = manifest["notes"]
    if not isinstance(notes, list) or not notes:
        return ""
    items = "".join(f"<li>{escape(str(note))}</li>" for note in notes)
    return f"<h2>Notes</h2><ul>{items}</ul>"


def _histogram(rows: Sequence[Mapping[str, object]], key: str, title: str) -> str:
    values = [float(str(of[key])) for of in rows if isinstance(of[key], int | float)]
    if not values:
        return ""
    low, high = min(values), max(values)
    width = (high - low) / N_BARS or 1.0
    counts = [0] * N_BARS
    for value in values:
        counts[min(int((value - low) / width), N_BARS - 1)] += 1
    tallest = max(counts)
    bars = "".join(
        f"<rect x='{20 * number}' y='{100 - 100 * n / tallest:.1f}' width='18' "
        f"height='{100 * n / tallest:.1f}' fill='#3b6ea5'><title>{n}</title></rect>"
        for number, n in enumerate(counts)
    )
    undefined = len(rows) - len(values)
    lacking = f"; undefined for {undefined}" if undefined else ""
    return (
        f"<h2>{escape(title)}</h2><svg width='{20 * N_BARS}' height='102' role='img' "
        f"aria-label='{escape(title)}'>{bars}</svg><p class='note'>{low:,.4g} to {high:,.4g}, "
        f"median {median(values):,.4g}, {len(values)} conditions{lacking}</p>"
    )


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[int]
) -> str:
    def cell(tag: str, number: int, value: object) -> str:
        kind = " class='n'" if number in numbers else ""
        return f"<{tag}{kind}>{escape(_shown(value))}</{tag}>"

    head = "".join(cell("th", number, text.replace("_", " ")) for number, text in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(cell("td", number, value) for number, value in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>" if any(heads) else f"<table>{body}</table>"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _rows(value: object) -> list[Mapping[str, object]]:
    assert isinstance(value, list)
    return value
