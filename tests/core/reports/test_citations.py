from __future__ import annotations

from collections.abc import Callable

from dygenept.plugin.environment import Environment
from dygenept.reports.citations import Source, bibtex, sources_of
from dygenept.results.provenance import PluginRecord
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


def test_sources_are_those_of_data_set_models_and_metrics(record: MakeRecord) -> None:
    plugin = PluginRecord(kind="baselines", name="additive", distribution="dygenept", version="0")
    records = [
        record(dataset="norman", metric="mse").model_copy(update={"plugins": (plugin,)}),
        record(dataset="norman", metric="pearson_delta_split_control"),
    ]
    found = {of.text: of.used_for for of in sources_of(records, Environment.load())}
    assert found == {
        "Norman et al. 2019, doi:10.1126/science.aax4438": ("data set norman",),
        "Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6": ("model additive",),
        "Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6": ("metric mse",),
    }


def test_bibtex_has_an_entry_each_with_its_address() -> None:
    text = bibtex(
        [
            Source("Märtens et al. 2025 (LangPert)", ("metric a_b",)),
            Source("Wu et al. 2024 (PerturBench), arXiv:2408.10609", ("metric x",)),
            Source("Wu et al. 2024, doi:10.1/a_b%", ("metric y",)),
            Source("Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304", ("model z",)),
        ]
    )
    assert "@software{dygenept," in text
    assert "@misc{martens2025,\n  author = {Märtens and others},\n  year = {2025}" in text
    assert "note = {used for: metric a\\_b}" in text
    assert "@misc{wu2024,\n" in text
    assert "eprint = {2408.10609},\n  archiveprefix = {arXiv}" in text
    assert "@article{wu2024b,\n" in text
    assert "doi = {10.1/a\\_b\\%}" in text
    assert "author = {Miller and Mejia and others}" in text
    assert "doi = {10.1101/2025.10.20.683304}" in text
    assert text.count("{") == text.count("}")
