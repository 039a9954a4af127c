"""What the steps of gene knowledge left, and what the language model would be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept_cli import console
from dygenept_cli.views.listing import listing, show_table

if TYPE_CHECKING:
    from dygenept.knowledge.precompute.request import StepOutcome
    from dygenept.plugin.interfaces import CallPlan


def show_outcomes(outcomes: Sequence[StepOutcome], output: Path, *, as_json: bool) -> None:
    """Print what each step left, and how to use it."""
    knowledge = next((item.artefact for item in outcomes if item.step == "4"), None)
    if as_json:
        console.print_json(
            {
                "output": str(output),
                "knowledge": None if knowledge is None else str(knowledge),
                "steps": [
                    {
                        "step": item.step,
                        "status": item.status,
                        "artefact": str(item.artefact),
                        "counts": dict(item.counts),
                        "seconds": round(item.seconds, 3),
                    }
                    for item in outcomes
                ],
            }
        )
    else:
        columns = ("step", "status", "artefact", "what", "seconds")
        table = listing(f"gene knowledge in {output}", columns, right=("seconds",))
        for item in outcomes:
            what = ", ".join(
                f"{count:,} {name.removeprefix('n_').replace('_', ' ')}"
                for name, count in item.counts.items()
            )
            seconds = f"{item.seconds:.1f}"
            table.add_row(item.step, item.status, item.artefact.name, what, seconds)
        show_table(table)
    if knowledge is not None:
        console.note(
            f"use it: dygenept bench --dataset NAME --facets {knowledge}; look into it: "
            f"dygenept knowledge show GENE --facets {output}"
        )


def show_plan(plan: CallPlan, *, as_json: bool) -> None:
    """Print the first prompt, the number of calls and what they are estimated to cost."""
    if as_json:
        console.print_json({"plan": asdict(plan)})
        return
    screen = console.stdout()
    cost = "unknown" if plan.cost is None else f"about {plan.cost:,.2f} USD"
    calls = (
        f"\n{plan.n_calls:,} calls to make, {plan.n_done:,} already kept; about "
        f"{plan.input_tokens:,} tokens in and {plan.output_tokens:,} out; cost {cost}. "
        "Nothing was sent."
    )
    for text in (plan.prompt, calls):
        screen.print(text, highlight=False)
