"""Every kind of layout of the catalogue, as a small file that the entry's own options read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from dygenept.data.catalog import DatasetEntry, dataset_entries, source_of
from dygenept.data.collections import (
    collection_entries,
    collection_of,
    matching,
    plan_fetch,
)
from dygenept.errors import DataError
from dygenept.plugin.environment import Environment
from dygenept.plugin.registry import catalogue_paths
from dygenept.plugin.yaml_files import read_shipped_yaml
from dygenept.types import PerturbationData, Runtime

GENES = (
    "KLF1 GATA1 SPI1 STAT1 STAT2 JAK2 IRF1 CD58 EGR1 ELF1 ELK1 CREB1 SNAI1 EP300 DDIT3 "
    "ATF6 EIF2AK3 ERN1 CBL LCP2 TBCE BIN1 SET HDAC1 CD38 MAPT"
).split()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment.load(data_dir=tmp_path_factory.mktemp("data"))


@dataclass(frozen=True)
class Layout:
    """A file as its publisher lays it out.

    Attributes:
        labels: Label of each group of four cells.
        expected: The perturbations that are read, sorted.
        column: Column of the labels.
        obs: Further columns, one value per group.
        ensembl: The index of ``var`` has Ensembl ids.
        encoding: ``csr``, ``csc`` or ``dense``.
        cell_types: Cell types that are read.
    """

    labels: Sequence[str | None]
    expected: Sequence[str]
    column: str = "perturbation"
    obs: Mapping[str, Sequence[str]] | None = None
    ensembl: bool = False
    encoding: str = "csc"
    cell_types: Sequence[str] = ("unknown",)


LAYOUTS: Mapping[str, Layout] = {
    "scperturb_tian_2021_crispri": Layout(
        ["control", "MAPT", "BIN1"], ["BIN1", "MAPT"], obs={"batch": ["1", "1", "2"]}
    ),
    "scperturb_norman_2019": Layout(
        ["control", "KLF1", "SET_KLF1"], ["KLF1", "KLF1+SET"], obs={"gemgroup": ["1", "2", "2"]}
    ),
    "scperturb_replogle_2022_k562_gwps": Layout(
        ["control", "GATA1", "TBCE"],
        ["GATA1", "TBCE"],
        obs={"batch": ["4", "4", "9"], "gene_id": ["non-targeting", "ENSG1", "ENSG2"]},
        encoding="dense",
    ),
    "scperturb_adamson_2016_pilot": Layout(
        ["62(mod)_pBA581", "SPI1_pDS255", "CREB1_pDS269", "*", None], ["CREB1", "SPI1"]
    ),
    "scperturb_adamson_2016_epistasis": Layout(
        [
            *("3x_neg_ctrl_pMJ144-1", "3x_neg_ctrl_pMJ144-2", "ATF6_only_pMJ145"),
            *("ATF6_PERK_IRE1_pMJ158", "PERK_only_pMJ146", "CREB1_pDS009", "*", None),
        ],
        ["ATF6", "ATF6+EIF2AK3+ERN1", "CREB1", "EIF2AK3"],
    ),
    "scperturb_datlinger_2017": Layout(
        ["control", "Tcrlibrary_STAT1_2", "Tcrlibrary_STAT1_3", "Tcrlibrary_EGR1_2"] * 2,
        ["EGR1", "STAT1"],
        obs={
            "perturbation_2": ["stimulated"] * 4 + ["unstimulated"] * 4,
            "replicate": ["1", "1", "2", "2"] * 2,
        },
        encoding="csr",
        cell_types=["stimulated", "unstimulated"],
    ),
    "scperturb_datlinger_2021": Layout(
        ["control", "LCP2_2", "LCP2_1", "EGR1_1"] * 2,
        ["EGR1", "LCP2"],
        # A well has one guide and one condition.
        obs={
            "perturbation_2": ["stimulated"] * 4 + ["unstimulated"] * 4,
            "sample": ["C02", "B12", "M10", "M12", "I12", "M07", "I24", "L22"],
        },
        encoding="csr",
        cell_types=["stimulated", "unstimulated"],
    ),
    "scperturb_papalexi_2021": Layout(
        ["control", "STAT2g2", "STAT2g3", "JAK2g1"],
        ["JAK2", "STAT2"],
        obs={"hto": ["rep1-tx", "rep1-tx", "rep2-tx", "rep1-tx"]},
    ),
    "scperturb_frangieh_2021": Layout(
        ["NO_SITE_47", "CD58_2", "ONE_NON-GENE_SITE_531", "IRF1_1", "nan"],
        ["CD58", "IRF1"],
        column="sgRNA",
        obs={
            "perturbation": ["control", "CD58", "control", "IRF1", "control"],
            "perturbation_2": ["Control", "Control", "IFNγ", "IFNγ", "IFNγ"],
        },
        cell_types=["Control", "IFNγ"],
    ),
    "scperturb_dixit_2016_day7": Layout(
        ["INTERGENIC1216445", "EGR1", "ELF1", "INTERGENIC393453", None],
        ["EGR1", "ELF1"],
        column="target",
    ),
    "scperturb_dixit_2016_high_moi": Layout(
        [
            *("control", "p-sgEGR1-2", "p-sgEGR1-4_p-sgELF1-5", "p-INTERGENIC393453_p-sgELF1-2"),
            *("p-INTERGENIC393453_p-INTERGENIC216151", "nan"),
        ],
        ["EGR1", "EGR1+ELF1", "ELF1"],
        # The first of several guides.
        obs={"target": ["INTERGENIC393453", "EGR1", "EGR1", "x", "x", "x"]},
    ),
    "scperturb_shifrut_2018": Layout(
        ["NonTarget", "CBL", "NonTarget", "LCP2", None],
        ["CBL", "LCP2"],
        column="target",
        obs={"sample": ["D1_stim", "D1_stim", "D2_nostim", "D2_nostim", "D1_stim"]},
        encoding="csr",
        cell_types=["D1_stim", "D2_nostim"],
    ),
    **{
        f"scperturb_schraivogel_2020_{chromosome}": Layout(
            [
                *("non-targeting_00025", "KLF1_+_124194986-P1P2", "GATA1_+_6624578.23-P1P2"),
                *("control", "multiplet"),
            ],
            ["GATA1", "KLF1"],
            obs={"replicate": ["sample_6", "sample_3", "sample_6", "sample_3", "sample_6"]},
            encoding="csr",
        )
        for chromosome in ("chr8", "chr11")
    },
    "replogle_2022_k562_essential_raw": Layout(
        ["non-targeting", "GATA1", "KLF1"],
        ["GATA1", "KLF1"],
        column="gene",
        obs={"gem_group": ["1", "1", "2"], "gene_transcript": ["a", "b", "c"]},
        ensembl=True,
        encoding="dense",
    ),
    "scperturb_adamson_2016_upr": Layout(
        [
            *("62(mod)_pBA581", "63(mod)_pBA580", "Gal4-4(mod)_pBA582"),
            *("DDIT3_pDS263", "SNAI1_pDS266", "*", None),
        ],
        ["DDIT3", "SNAI1"],
    ),
    "perturbench_norman_2019": Layout(
        ["control", "KLF1", "KLF1+SET"],
        ["KLF1", "KLF1+SET"],
        column="condition",
        obs={"cell_type": ["K562", "K562", "K562"]},
        cell_types=["K562"],
        encoding="csr",
    ),
    "perturbench_jiang_2024": Layout(
        ["control", "STAT1", "control", "IRF1"],
        ["IRF1", "STAT1"],
        column="condition",
        obs={
            "cell_type": ["a549", "a549", "mcf7", "mcf7"],
            "treatment": ["IFNB", "IFNB", "TNFA", "TNFA"],
        },
        cell_types=["a549", "mcf7"],
        encoding="csr",
    ),
    "vcc_2025_h1_train": Layout(
        ["non-targeting", "HDAC1", "CD38"],
        ["CD38", "HDAC1"],
        column="target_gene",
        obs={"batch": ["Flex_1_01", "Flex_1_01", "Flex_3_16"], "guide_id": ["a", "b", "c"]},
        encoding="csr",
    ),
}


def write(path: Path, layout: Layout, *, is_raw: bool) -> None:
    n_cells = 4 * len(layout.labels)
    counts = np.random.default_rng(1).poisson(3.0, (n_cells, len(GENES))).astype(np.float32)
    counts[:, 0] += 1
    x = counts if is_raw else np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    obs = pd.DataFrame({layout.column: np.repeat(np.array(layout.labels, dtype=object), 4)})
    for name, values in (layout.obs or {}).items():
        obs[name] = pd.Categorical(np.repeat(list(values), 4))
    obs[layout.column] = pd.Categorical(obs[layout.column])
    obs.index = [f"cell{number}" for number in range(n_cells)]
    ids = [f"ENSG{number:011}" for number in range(len(GENES))]
    var = (
        pd.DataFrame({"gene_name": GENES}, index=ids)
        if layout.ensembl
        else pd.DataFrame({"ensembl_id": ids}, index=GENES)
    )
    matrix = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}
    path.parent.mkdir(parents=True, exist_ok=True)
    anndata.AnnData(matrix[layout.encoding](x), obs=obs, var=var).write_h5ad(
        path, compression="gzip"
    )


def opened(name: str, layout: Layout, environment: Environment) -> PerturbationData:
    """Read a small file by the entry of the catalogue, its size and checksums left out."""
    entry = dataset_entries(environment)[name]
    own = entry.model_copy(update={"size": None, "md5": None, "sha256": None})
    source = source_of(name, own, manager=environment.manager)
    path = source.status(environment.data_dir).path
    assert path is not None
    write(path, layout, is_raw=bool(entry.options.get("normalize")))
    return source.load(environment.data_dir, Runtime())


def shipped() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for path in catalogue_paths():
        datasets = read_shipped_yaml(path)["datasets"]
        assert isinstance(datasets, dict)
        found |= datasets
    return found


def declared(entry: DatasetEntry) -> Layout:
    """Return the layout of a file of which nothing is peculiar but what the entry says of it."""
    options = dict(entry.options)
    # Guides are written as each study pleases: their layouts are above.
    assert not options.get("guide_pattern")
    assert isinstance(options["control"], list | tuple)
    labels = [*options["control"], "KLF1", "GATA1", *options.get("drop", ())]
    labels = [None if label == "nan" else label for label in labels]
    if separator := options.get("separator"):
        labels.append(f"SET{separator}KLF1")
    groups = range(len(labels))
    obs = {}
    if types := options.get("cell_type_column"):
        # Each cell type has controls and every perturbation.
        obs[types], labels = [*("rest" for _ in groups), *("more" for _ in groups)], labels * 2
    if batches := options.get("batch_column"):
        obs[batches] = [str(group % 2) for group in range(len(labels))]
    return Layout(
        labels,
        ["GATA1", "KLF1", *(["KLF1+SET"] if separator else [])],
        column=str(options["condition_column"]),
        obs=obs,
        ensembl=bool(options.get("symbol_column")),
        cell_types=("more", "rest") if types else ("unknown",),
    )


@pytest.mark.parametrize("name", shipped())
def test_a_small_file_of_the_published_layout_is_read_by_its_entry(
    name: str, environment: Environment
) -> None:
    layout = LAYOUTS.get(name) or declared(dataset_entries(environment)[name])
    data = opened(name, layout, environment)
    genes = [perturbation.genes for perturbation in data.perturbations]
    assert sorted("+".join(of) for of in genes) == sorted(layout.expected)
    assert data.name == name
    assert list(data.cell_types) == list(layout.cell_types)
    assert data.expression.max() < 20  # log1p
    assert (data.condition_codes < 0).any()
    # What is published as counts is normalised here, and nothing else is.
    assert data.is_normalized == bool(shipped()[name].get("normalize"))


PERTURBQA = [
    f"perturbqa_{line}_{task}"
    for line in ("k562", "rpe1", "hepg2", "jurkat")
    for task in ("de", "dir")
]


@pytest.mark.parametrize("name", PERTURBQA)
def test_perturbqas_columns_are_read_with_their_own_split(
    name: str, environment: Environment
) -> None:
    source = source_of(name, dataset_entries(environment)[name], manager=environment.manager)
    path = source.status(environment.data_dir).path
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ("KLF1,GATA1,1,train", "KLF1,SPI1,0,train", "IRF1,GATA1,0,test", "IRF1,SPI1,1,test")
    path.write_text("pert,gene,label,split\n" + "\n".join(rows) + "\n")
    data = source.load(environment.data_dir, Runtime())
    assert [item.genes for item in data.perturbations] == [("IRF1",), ("KLF1",)]
    assert data.gene_ids == ("GATA1", "SPI1")
    assert data.effects is not None
    assert data.effects.values.tolist() == [[0, 1], [1, 0]]
    parts = {condition.label: part for condition, part in data.effects.parts.items()}
    assert parts == {"IRF1": "test", "KLF1": "train"}


def test_the_catalogue_names_many_published_screens_beside_the_five() -> None:
    assert len(shipped()) >= 25


@pytest.mark.parametrize("name", shipped())
def test_every_entry_says_where_it_is_from_and_what_to_cite(
    name: str, environment: Environment
) -> None:
    entry: DatasetEntry = dataset_entries(environment)[name]
    collection = collection_of(entry, environment)
    assert entry.citation
    assert entry.summary
    assert entry.modality
    assert entry.cell_types
    assert entry.licence or collection.licence
    assert entry.read_in or collection.read_in
    assert entry.untried or collection.untried
    assert entry.options["name"] == name
    # What was not found is said, and nothing is guessed.
    assert (entry.n_cells and entry.n_genes) or "Cells and genes are left out" in entry.untried
    assert entry.options.get("size") or "Size" in entry.untried
    # A checksum is published with a size, and an archive on Zenodo has both.
    if "zenodo.org" in str(entry.options["url"]):
        assert re.fullmatch(r"[0-9a-f]{32}", str(entry.options["md5"]))
        assert isinstance(entry.options["size"], int)


def test_no_two_entries_share_a_file_or_a_checksum(environment: Environment) -> None:
    options = [dataset_entries(environment)[name].options for name in shipped()]
    for key in ("path", "url", "md5"):
        values = [of[key] for of in options if of.get(key)]
        assert len(set(values)) == len(values), key


def test_every_collection_has_members_and_every_member_a_collection(
    environment: Environment,
) -> None:
    named = {entry.collection for entry in dataset_entries(environment).values()} - {""}
    assert named == set(collection_entries(environment))


def test_the_plan_of_a_fetch_adds_up_what_is_missing(tmp_path: Path) -> None:
    environment = Environment.load(data_dir=tmp_path)
    plan = plan_fetch("virtual_cell_challenge", environment)
    assert plan.missing == ("vcc_2025_h1_train", "vcc_2025_h1_validation", "vcc_2025_h1_test")
    assert plan.n_bytes == 15_482_497_461 + 6_928_967_541 + 11_950_739_168
    assert not plan.unknown
    (tmp_path / "vcc_2025").mkdir()
    (tmp_path / "vcc_2025" / "adata_Training.h5ad").write_bytes(b"x")
    later = plan_fetch("virtual_cell_challenge", environment)
    assert (len(later.missing), later.n_bytes) == (2, 6_928_967_541 + 11_950_739_168)
    unsaid = plan_fetch("perturbench", environment)
    assert unsaid.unknown == ("perturbench_norman_2019",)
    assert "at least 20.8 GB; nobody says how large 1 is (perturbench_n" in unsaid.estimate
    with pytest.raises(DataError, match="did you mean 'scperturb'"):
        plan_fetch("scpertub", environment)


def test_a_search_looks_at_names_studies_cell_types_and_modalities(
    environment: Environment,
) -> None:
    entries = dataset_entries(environment)
    assert set(matching("jurkat crispri", entries)) >= {
        "scperturb_nadig_2025_jurkat",
        "nadig_2025_jurkat_raw",
    }
    assert "norman" in matching("NORMAN et al", entries)
    assert not matching("no such screen", entries)
