"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RegistryOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="A registry to merge over the bundled one; may be given several times.",
    ),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="A Python file with plugins; may be given several times."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where data sets live [default: $DYGENEPT_DATA, else a folder of the user's].",
    ),
]
ResultsOption = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="Results folder.", show_default=True)
]
DatasetFilterOption = Annotated[
    str | None, typer.Option("--dataset", metavar="D", help="Show only this data set.")
]
MetricFilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", metavar="M", help="Show only this metric; may be given several times."
    ),
]
AllMetricsOption = Annotated[
    bool,
    typer.Option(
        "--all-metrics", help="Show every metric in the table, however wide; default what fits."
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        metavar="NAME|FILE",
        help="A registered data set (see `dygenept data list`), sim:NAME, or an .h5ad file.",
    ),
]
BenchmarkDatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME|FILE",
        help="A registered data set (see `dygenept data list`), sim:NAME, or an .h5ad file "
        "[default: the suite's].",
    ),
]
SuiteOption = Annotated[
    str | None,
    typer.Option(
        "--suite",
        metavar="S",
        help="A declared benchmark, such as quick (see `dygenept suites list`).",
    ),
]
ScoredMetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="M",
        help="Score and show this metric; may be given several times; default all.",
    ),
]
RequireGeneInOption = Annotated[
    str | None,
    typer.Option(
        "--require-gene-in",
        metavar="go",
        help="Keep only perturbations whose genes all are in this resource (kfold).",
    ),
]
DeListOption = Annotated[
    str | None,
    typer.Option("--de-list", help="top_non_dropout_de_20 (default) or top_non_zero_de_20."),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split", metavar="NAME|FILE", help="A split protocol, or a JSON file of labels."
    ),
]
FoldsOption = Annotated[int | None, typer.Option("--folds", min=1, help="Number of folds.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of the split and of all that follows.")
]
GeneEncoderOption = Annotated[
    str | None, typer.Option("--gene-encoder", metavar="X", help="Swap the gene encoder.")
]
FacetsOption = Annotated[
    str | None,
    typer.Option(
        "--facets", metavar="X|FILE", help="Swap the facet set: a name, or a knowledge file."
    ),
]
CellEncoderOption = Annotated[
    str | None, typer.Option("--cell-encoder", metavar="X", help="Swap the cell encoder.")
]
AttentionOption = Annotated[
    str | None, typer.Option("--attention", metavar="X", help="Swap the attention.")
]
DecoderOption = Annotated[
    str | None, typer.Option("--decoder", metavar="X", help="Swap the decoder.")
]
KgOption = Annotated[
    str | None,
    typer.Option(
        "--kg",
        metavar="a,b",
        help="Knowledge graphs that unknown facets are imputed from, such as string,go; or none.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML merged into every assembled model."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one option of every assembled model, such as training.lr=5e-5, or of the model "
        "that it names, such as ridge.embedding=go_minilm.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", show_default=True)
]
NormalizeOption = Annotated[
    bool,
    typer.Option(
        "--normalize", help="Scale raw counts to the median total per cell and take log1p."
    ),
]
ScaleOption = Annotated[
    float | None,
    typer.Option("--scale", min=0.0, max=1.0, help="Shrink a simulated data set (0 to 1)."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress on stderr.")]
