"""Small valid texts: YAML, tables and the graph files of every source."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

MAKERS: dict[str, Callable[[Path], None]] = {}
TP53, CDKN1A, KLF1 = "9606.ENSP00000269305", "9606.ENSP00000244741", "9606.ENSP00000264834"
CHANNELS = (
    "neighborhood fusion cooccurence coexpression experimental database textmining combined_score"
)
GAF_ROW = "\t".join(
    ("UniProtKB", "P1", "TP53", "involved_in", "GO:0006915", "PMID:1", "IDA", "", "P", "p53", "",
     "protein", "taxon:9606", "20200101", "UniProt", "", "")
)  # fmt: skip
OBO = """format-version: 1.2

[Term]
id: GO:0006915
name: apoptotic process
namespace: biological_process
alt_id: GO:0006917
is_a: GO:0012501 ! programmed cell death

[Term]
id: GO:0012501
name: programmed cell death
namespace: biological_process
"""
SUITE = """name: suite
version: 1
summary: One line.
datasets: [sim_norman]
scale: 0.1
split: kfold
n_folds: 2
seed: 42
models: [mean]
metrics: [mse]
"""
REGISTRY = """plugins: []
models:
  mine: {cell_encoder: mean, attention: {name: softmax, options: {n_heads: 2}}}
datasets:
  mine: {source: gears, summary: x, options: {path: /nowhere/x.h5ad}}
assets:
  file: {folder: kg, files: [{url: "https://example.org/x.tsv", path: x.tsv, size: 12}]}
defaults: {seed: 1}
"""


def seed(*names: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register what writes the files of a reader into a folder."""

    def register(make: Callable[[Path], None]) -> Callable[[Path], None]:
        for name in names:
            MAKERS[name] = make
        return make

    return register


def text(name: str, content: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        if name.endswith(".gz"):
            (folder / name).write_bytes(gzip.compress(content.encode(), mtime=0))
        else:
            (folder / name).write_text(content, encoding="utf-8")

    return make


seed("yaml")(text("file.yaml", SUITE + "a: &a [1, 2]\nb: *a\nc: ${seed}\n"))
seed("suite")(text("suite.yaml", SUITE))
seed("registry")(text("registry.yaml", REGISTRY))
seed("gene_list")(text("genes.txt", "gene\tnote\nKLF1\tx\nMAPK1\n# no\nTP53\n"))
CORPUS = "symbol,description,summary,go,pathways\nKLF1,factor,Does things.,a|b,p\nTP53,tumour,x,,\n"
seed("corpus_table")(text("genes.csv", CORPUS))
seed("corpus_table_gz")(text("genes.tsv.gz", CORPUS.replace(",", "\t")))
LINKS = (
    f"protein1 protein2 {CHANNELS}\n{TP53} {CDKN1A} 0 0 0 62 610 900 999 999\n"
    f"{KLF1} {TP53} 0 0 0 0 500 0 0 500\n"
)
INFO = "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n" + "".join(
    f"{protein}\t{name}\t9\tx\n"
    for protein, name in ((TP53, "TP53"), (CDKN1A, "CDKN1A"), (KLF1, "KLF1"))
)
PAIRS = "source,target,importance\nTP53,CDKN1A,0.5\nKLF1,TP53,0.25\nKLF1,GATA1,1.0\n"
GMT = "SET_A\thttp://x\tTP53\tCDKN1A\tKLF1\nSET_B\tna\tKLF1\tGATA1\n"
BIOPLEX = (
    "GeneA\tGeneB\tUniprotA\tUniprotB\tSymbolA\tSymbolB\tpW\tpNI\tpInt\n"
    "1\t2\tP1\tP2\tTP53\tCDKN1A\t0\t0\t0.99\n3\t1\tP3\tP1\tKLF1\tTP53\t0\t0\t0.8\n"
)
NCBI = "".join(
    f"{number}\tR-HSA-1\thttp://x\tName\tTAS\tHomo sapiens\n" for number in (7157, 1026, 10661)
)
JSON_PAIRS = {"TP53": [["CDKN1A", ["experiments", "textmining"]]], "KLF1": [["TP53", ["database"]]]}
JSON_SETS = [{"TP53": [["R-1", "x"]], "KLF1": [["R-1", "x"], ["R-2", "y"]]}, {"R-1": ["TP53"]}]


@seed("graph_string")
def _(folder: Path) -> None:
    text("9606.protein.links.detailed.txt", LINKS)(folder)
    text("9606.protein.info.txt.gz", INFO)(folder)


@seed("graph_go")
def _(folder: Path) -> None:
    text(
        "goa.gaf", "!gaf-version: 2.2\n" + GAF_ROW + "\n" + GAF_ROW.replace("TP53", "KLF1") + "\n"
    )(folder)
    text("go-basic.obo", OBO)(folder)


seed("graph_string_json")(text("string.json", json.dumps(JSON_PAIRS)))
seed("graph_bioplex_json")(text("bioplex.json", json.dumps(JSON_PAIRS)))
seed("graph_reactome_json")(text("reactome.json", json.dumps(JSON_SETS)))
seed("graph_go_json")(text("go.json", json.dumps([{"TP53": [["GO:0006915", "P"]]}, {}])))
seed("graph_bioplex")(text("BioPlex_293T.tsv", BIOPLEX))
seed("graph_reactome")(text("reactome.gmt", GMT))
seed("graph_reactome_ncbi")(text("NCBI2Reactome.txt", NCBI))
seed("graph_gears")(text("go_essential_all.csv", PAIRS))
seed("graph_edges_gz")(text("edges.tsv.gz", PAIRS.replace(",", "\t")))
seed("graph_gmt")(text("sets.gmt", GMT))
