"""``dygenept precompute``: from gene annotations to an imputed facet tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dygenept.data.request import DataRequest
    from dygenept.knowledge.graph.sources import KgChoice
    from dygenept.knowledge.precompute.request import PrecomputeConfig, StepOutcome
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.interfaces import CallPlan


def precompute(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder of all artefacts.")
    ] = Path("knowledge"),
    step: Annotated[
        list[str] | None,
        typer.Option(
            "--step",
            metavar="S",
            help="1 gene text, 1.5 enrich, 2 write facets, 2.5 regenerate, 3 embed, 4 impute, or "
            "all (default); may be given several times, or as 1,2,3,4.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME|FILE", help="Take a data set's target and output genes."
        ),
    ] = None,
    genes: Annotated[
        Path | None,
        typer.Option("--genes", metavar="FILE", help="Take the genes of a file, one per line."),
    ] = None,
    all_genes: Annotated[
        bool, typer.Option("--all-genes", help="Take every gene of the shipped tables.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Your own gene texts: a table with columns symbol, description, summary, GO, "
            "pathways (others by --set corpus.columns.summary=NAME).",
        ),
    ] = None,
    writer: Annotated[
        str, typer.Option("--writer", metavar="X", help="Facet writer.", show_default=True)
    ] = "go",
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="X", help="Text encoder.", show_default=True)
    ] = "minilm",
    kg: options.KgOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set an option of a step, such as writer.model=NAME, encoder.max_tokens=128, "
            "enrichment.max_neighbors=3, kg.string.weight=0.5 or imputation.num_rounds=2.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The same as a YAML file.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the first prompt, the calls and the estimated tokens of step 2; send none.",
        ),
    ] = False,
    device: options.DeviceOption = "auto",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Keep steps whose inputs have not changed."),
    ] = True,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Turn gene annotations into a facet tensor, step by step; each step is kept on disk."""
    from dygenept.data.request import DataRequest
    from dygenept.knowledge.precompute.pipeline import Pipeline
    from dygenept.knowledge.precompute.request import PrecomputeRequest, planned_steps
    from dygenept.machine.devices import pick_device
    from dygenept.machine.progress import shown_progress
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    settings, choice = _settings(kg, set_, config)
    data = None
    if dataset is not None:
        data = DataRequest(dataset=dataset, scale=scale, normalize=normalize)
    asked = _genes(environment, data, genes=genes, all_genes=all_genes)
    request = PrecomputeRequest(
        output=output,
        genes=asked,
        table=table,
        writer=writer,
        encoder=encoder,
        kg=choice,
        config=settings,
        resume=resume,
    )
    steps = planned_steps(_named_steps(step), request)
    with shown_progress(quiet=quiet) as report:
        runtime = environment.runtime(report, device=pick_device(device))
        pipeline = Pipeline(request, manager=environment.manager, runtime=runtime)
        if dry_run:
            # The corpus costs nothing, and the prompt is made of it.
            pipeline.run([name for name in steps if name in ("1", "1.5")])
            plan = pipeline.plan()
        else:
            outcomes = pipeline.run(steps)
    if dry_run:
        _print_plan(plan, as_json=as_json)
    else:
        _print_outcomes(outcomes, output, as_json=as_json)


def _named_steps(given: Sequence[str] | None) -> tuple[str, ...]:
    steps = [part.strip() for item in given or ["all"] for part in item.split(",")]
    return tuple(dict.fromkeys(steps))


def _settings(
    kg: str | None, sets: Sequence[str] | None, config: Path | None
) -> tuple[PrecomputeConfig, KgChoice]:
    """Return the options of the steps, and the graphs with those of the imputation."""
    from dygenept.knowledge.precompute.request import PrecomputeConfig
    from dygenept.model.overrides import from_dotlist
    from dygenept.plugin.registry import merge, read_yaml
    from dygenept.plugin.validation import validated
    from dygenept_cli import context

    document = {} if config is None else read_yaml(config)
    choice = context.graph_choice(kg, sets, document)
    document = merge(document, from_dotlist(tuple(sets or ())))
    steps = {key: value for key, value in document.items() if key not in ("kg", "imputation")}
    return validated(PrecomputeConfig, steps, "precompute"), choice


def _genes(
    environment: Environment, data: DataRequest | None, *, genes: Path | None, all_genes: bool
) -> tuple[str, ...] | None:
    """Return the genes of a data set, of a file or of the shipped tables; None where not said."""
    from dygenept.data.request import open_data
    from dygenept.errors import ConfigError
    from dygenept.knowledge.genes.corpus import read_gene_list
    from dygenept.knowledge.genes.tables import load_gene_tables
    from dygenept.types import no_report

    if sum((data is not None, genes is not None, all_genes)) > 1:
        raise ConfigError("--dataset, --genes and --all-genes exclude each other; give one")
    if all_genes:
        return load_gene_tables().symbols
    if genes is not None:
        return read_gene_list(genes)
    if data is None:
        return None
    opened = open_data(data, environment, no_report)
    return tuple(dict.fromkeys((*opened.target_genes, *opened.gene_symbols)))


def _print_outcomes(outcomes: Sequence[StepOutcome], output: Path, *, as_json: bool) -> None:
    from rich.table import Table

    from dygenept_cli import context

    knowledge = next((item.artefact for item in outcomes if item.step == "4"), None)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
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
        table = Table(title=f"gene knowledge in {output}", title_justify="left")
        for column in ("step", "status", "artefact", "what", "seconds"):
            table.add_column(column, justify="right" if column == "seconds" else "left")
        for item in outcomes:
            what = ", ".join(
                f"{count:,} {name.removeprefix('n_').replace('_', ' ')}"
                for name, count in item.counts.items()
            )
            seconds = f"{item.seconds:.1f}"
            table.add_row(item.step, item.status, item.artefact.name, what, seconds)
        context.stdout().print(table)
    if knowledge is not None:
        context.note(
            f"use it: dygenept bench --dataset NAME --facets {knowledge}; look into it: "
            f"dygenept knowledge show GENE --facets {output}"
        )


def _print_plan(plan: CallPlan, *, as_json: bool) -> None:
    from dataclasses import asdict

    from dygenept_cli import context

    if as_json:
        context.print_json({"schema_version": 1, "plan": asdict(plan)})
        return
    console = context.stdout()
    console.print(plan.prompt, highlight=False, markup=False)
    cost = "unknown" if plan.cost is None else f"about {plan.cost:,.2f} USD"
    console.print(
        f"\n{plan.n_calls:,} calls to make, {plan.n_done:,} kept already; about "
        f"{plan.input_tokens:,} tokens in and {plan.output_tokens:,} out; cost {cost}. "
        "Nothing was sent.",
        highlight=False,
        markup=False,
    )
