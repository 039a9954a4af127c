"""``dygenept precompute``: from gene annotations to an imputed facet tensor.

What the steps of gene knowledge left, and what the language model would be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import CellsFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag
from dygenept_cli.views.listing import listing, show_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dygenept.knowledge.graph.sources import KgChoice
    from dygenept.knowledge.precompute.request import PrecomputeConfig, StepOutcome
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.interfaces import CallPlan
    from dygenept.types import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFlags:
    """Which steps run, where they are kept, and how they work."""

    output: Path = flag("Folder of all artefacts.", default=Path("knowledge"), metavar="DIR")
    step: list[str] | None = flag(
        "Step: 1 gene text, 1.5 enrich, 2 write facets, 2.5 regenerate, 3 embed, 4 impute; may be "
        "given several times, or as 1,2,3,4 [default: all].",
        metavar="S",
    )
    writer: str = flag("Facet writer.", default="go", metavar="X")
    encoder: str = flag("Text encoder.", default="minilm", metavar="X")
    kg: options.KgOption = None
    set_: list[str] | None = flag(
        "Set an option of a step, such as writer.model=NAME, encoder.max_tokens=128, "
        "enrichment.max_neighbors=3, kg.string.weight=0.5 or imputation.num_rounds=2.",
        metavar="KEY=VALUE",
    )
    config: Path | None = flag("YAML file of the same options.", metavar="FILE")
    resume: bool = flag(
        "Keep steps whose inputs have not changed.", "--resume/--no-resume", default=True
    )

    def named(self) -> tuple[str, ...]:
        """Return the steps that the user named, or ``all``."""
        steps = [part.strip() for item in self.step or ["all"] for part in item.split(",")]
        return tuple(dict.fromkeys(steps))

    def settings(self) -> tuple[PrecomputeConfig, KgChoice]:
        """Return the options of the steps, and the graphs with those of the imputation."""
        from dygenept.knowledge.precompute.request import PrecomputeConfig
        from dygenept.model.overrides import from_dotlist
        from dygenept.plugin.registry import merge
        from dygenept.plugin.yaml_files import read_yaml, validated
        from dygenept_cli.flags.models import graph_choice

        document = {} if self.config is None else read_yaml(self.config)
        choice = graph_choice(self.kg, self.set_, document)
        document = merge(document, from_dotlist(tuple(self.set_ or ())))
        steps = {key: value for key, value in document.items() if key not in ("kg", "imputation")}
        return validated(PrecomputeConfig, steps, "precompute"), choice


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneFlags(CellsFlags):
    """Which genes, and where their texts come from."""

    dataset: str | None = flag("Take a data set's target and output genes.", metavar="NAME|FILE")
    genes: Path | None = flag("Take the genes of a file, one per line.", metavar="FILE")
    all_genes: bool = flag("Take every gene of the shipped tables.", default=False)
    table: Path | None = flag(
        "Take gene texts from your own table with columns symbol, description, summary, GO, "
        "pathways (other names by --set corpus.columns.summary=NAME).",
        metavar="FILE",
    )

    def chosen(
        self, environment: Environment, report: Callable[[Progress], None]
    ) -> tuple[str, ...] | None:
        """Return the genes; None leaves them to the corpus or the user's table."""
        from dygenept.data.opening import open_data
        from dygenept.knowledge.genes.corpus import read_gene_list
        from dygenept.knowledge.genes.tables import load_gene_tables
        from dygenept.types import Progress

        if sum((self.dataset is not None, self.genes is not None, self.all_genes)) > 1:
            raise ConfigError("--dataset, --genes and --all-genes exclude each other; give one")
        if self.all_genes:
            return load_gene_tables().symbols
        if self.genes is not None:
            return read_gene_list(self.genes)
        if self.dataset is None:
            return None
        report(Progress("read", 0, 1, self.dataset))
        opened = open_data(self.data_request(self.dataset), environment, report)
        report(Progress("read", 1, 1))
        return tuple(dict.fromkeys((*opened.target_genes, *opened.gene_symbols)))


def precompute(
    *,
    wanted: StepFlags,
    genes: GeneFlags,
    dry_run: bool = flag(
        "Print the first prompt, the calls and the estimated tokens of step 2; send nothing.",
        default=False,
    ),
    where: MachineFlags,
    output: options.OutputFlags,
) -> None:
    """Turn gene annotations into a facet tensor, step by step; each step is kept on disk."""
    from dygenept.knowledge.precompute.pipeline import Pipeline
    from dygenept.knowledge.precompute.request import PrecomputeRequest, planned_steps
    from dygenept.machine.devices import pick_device
    from dygenept.machine.places import check_can_write

    environment = where.environment()
    device = pick_device(where.device)
    settings, choice = wanted.settings()
    request = PrecomputeRequest(
        output=wanted.output,
        table=genes.table,
        writer=wanted.writer,
        encoder=wanted.encoder,
        kg=choice,
        config=settings,
        resume=wanted.resume,
    )
    steps = planned_steps(wanted.named(), request)
    with output.progress() as report:
        runtime = environment.runtime(report, device=device)
        if genes.dataset is not None:
            # Whatever can be refused is, before a data set is read for its genes.
            check_can_write(wanted.output)
            Pipeline(request, manager=environment.manager, runtime=runtime).check(steps)
        request = replace(request, genes=genes.chosen(environment, report))
        pipeline = Pipeline(request, manager=environment.manager, runtime=runtime)
        if dry_run:
            # The corpus costs nothing, and the prompt is made from it.
            pipeline.run([name for name in steps if name in ("1", "1.5")])
            plan = pipeline.plan()
        else:
            outcomes = pipeline.run(steps)
    if dry_run:
        show_plan(plan, as_json=output.as_json)
    else:
        show_outcomes(outcomes, wanted.output, as_json=output.as_json)


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
