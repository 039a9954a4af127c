"""The study of learning curves: splits, what it adds to, and what its tables say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import compared
import figures
import pytest
import study

import dygenept as dg
from dygenept.data.simulated.profiles import profile_named
from dygenept.data.simulated.truth import read_truth
from dygenept.model.assembly import is_baseline, named_assembly
from dygenept.plugin.environment import Environment
from dygenept.types import PerturbationData
from dygenept_plugins.datasets import simulated
from dygenept_plugins.datasets.simulated import SimulatedConfig, SimulatedSource

SCREEN = "sim:dixit@0.02"


def row(seed: int, n: int, model: str, score: float) -> dict[str, object]:
    return {"seed": seed, "n": n, "model": model, "score": score}


DOCUMENT = {
    "rows": [
        row(1, 20, "closed form", 0.1),
        row(2, 20, "closed form", 0.3),
        row(1, 20, "steps", 0.2),
        row(2, 20, "steps", 0.5),
        row(1, 1500, "steps", 0.5),
    ]
}


def test_tables_have_means_and_standard_errors_over_splits() -> None:
    assert study.table(DOCUMENT).split("\n") == [
        "| train perturbations | closed form | steps |",
        "|---|---|---|",
        "| 20 | 0.200 ± 0.100 | 0.350 ± 0.150 |",
        "| 1,500 |  | 0.500 |",
    ]
    # The differences are 0.1 and 0.2 on the two splits, and at 1,500 there is nothing to compare.
    assert study.differences(DOCUMENT, "closed form").split("\n")[1:] == [
        "|---|---|",
        "| 20 | 0.150 ± 0.050 |",
    ]


def test_subsets_are_nested_and_every_seed_is_another_split() -> None:
    data = dg.load_dataset(SCREEN)
    known, test = study.parts(data, 1)
    assert not set(known) & set(test)
    assert len(test) == round(0.2 * (len(known) + len(test)))
    assert study.parts(data, 1) == (known, test)
    assert set(study.parts(data, 2)[1]) != set(test)
    small, large = study.fold(known[:6], test), study.fold(known, test)
    assert small["test"] == large["test"] == test
    assert {*small["train"], *small["val"]} == set(known[:6])  # type: ignore[misc]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, int]]]:
    fits: list[tuple[str, int]] = []

    def measured(
        data: PerturbationData,
        environment: Environment,
        manifest: Path,
        of: compared.Compared,
        *,
        seed: int,
        steps: int,
    ) -> dict[str, object]:
        fold = json.loads(manifest.read_text())
        assert set(fold) == {"train", "val", "test"}
        fits.append((of.model, len(fold["train"]) + len(fold["val"])))
        return {"score": 0.25 * seed}

    monkeypatch.setattr(study, "measured", measured)
    return fits


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, counted: list[tuple[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "found.json")
    screen = [output, "--dataset", SCREEN]
    study.main([*screen, "--models", "closed form", "--sizes", "6"])
    assert counted == [("dygenept_small", 6)]
    more = ("--models", "linear_loo", "closed form", "--sizes", "6", "9", "--seeds", "42", "43")
    study.main([*screen, *more])
    both = [(model, size) for size in (6, 9) for model in ("linear_loo", "dygenept_small")]
    assert counted[1:] == [of for of in both if of != counted[0]] + both
    rows = json.loads(Path(output).read_text())["rows"]
    assert len({study.key_of(each) for each in rows}) == len(rows) == 8
    printed = capsys.readouterr().out
    assert "| 6 | 10.625 ± 0.125 | 10.625 ± 0.125 |" in printed
    assert printed.endswith(
        "less closed form:\n\n| train perturbations | linear_loo |\n|---|---|\n"
        "| 6 | 0.000 ± 0.000 |\n| 9 | 0.000 ± 0.000 |\n"
    )


def test_a_file_of_another_study_is_not_added_to(
    tmp_path: Path, counted: list[tuple[str, int]]
) -> None:
    output = str(tmp_path / "found.json")
    given = [output, "--dataset", SCREEN, "--models", "closed form", "--sizes", "6"]
    study.main(given)
    with pytest.raises(SystemExit, match="is of steps 500, not 100"):
        study.main([*given, "--steps", "100"])
    assert len(counted) == 1


def test_an_unknown_model_and_effects_of_a_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "found.json")
    with pytest.raises(
        SystemExit, match="no model 'nosuch'; there are linear_loo, ridge_go, closed form"
    ):
        study.main([output, "--dataset", SCREEN, "--models", "nosuch"])
    with pytest.raises(SystemExit):
        study.main([output, "--dataset", "table.csv.gz", "--effects", "go40"])
    assert "are of simulated data sets" in capsys.readouterr().err


def test_a_fit_that_fails_says_why(tmp_path: Path) -> None:
    data, manifest = dg.load_dataset(SCREEN), tmp_path / "fold.json"
    known, test = study.parts(data, 1)
    manifest.write_text(json.dumps(study.fold(known[:6], test)), encoding="utf-8")
    of = compared.Compared("dygenept_small", ("attention.num_heads=3",))
    with pytest.raises(SystemExit, match=r"fold 1: .*num_heads 3 does not divide"):
        study.measured(data, Environment.load(), manifest, of, seed=1, steps=0)


def test_more_perturbations_have_as_many_cells_each() -> None:
    before = profile_named("k562")
    with study.other_sizes("sim:k562", 1900, None):
        source = SimulatedSource(SimulatedConfig(profile="k562"))
        outline = source.outline(Path("nowhere"))
        more = profile_named("k562")
    assert outline.n_perturbations == more.n_singles == 1900
    assert outline.n_genes == before.n_genes
    assert more.cells_per_perturbation == pytest.approx(before.cells_per_perturbation, abs=0.001)
    with study.other_sizes("sim:k562", None, 2000):
        assert profile_named("k562") == replace(before, n_genes=2000)
    assert profile_named("k562") == before == simulated.PROFILES["k562"]


def test_effects_are_planted_in_a_screen_of_their_own(tmp_path: Path) -> None:
    def from_texts(*given: str) -> float:
        screens = ("--screens", str(tmp_path))
        arguments = study.parser().parse_args(["found.json", "--dataset", SCREEN, *screens, *given])
        with study.opened(arguments) as (data, environment):
            assert data.name == SCREEN
            assert environment.data_dir.parent == tmp_path
        (path,) = environment.data_dir.rglob("*.h5ad")
        truth = read_truth(path)
        return float(truth.source_shares[truth.source_names.index("go_text")])

    # Shares of the effects that were drawn, which are of few perturbations here.
    assert from_texts("--effects", "go40") == pytest.approx(0.4, abs=0.05)
    assert from_texts("--effects", "go85") == pytest.approx(0.85, abs=0.05)


@pytest.mark.parametrize("group", ["STEPS", "STEPS_OF_TABLES", "FULL", "FULL_OF_TABLES"])
def test_what_is_compared_can_be_built(group: str) -> None:
    environment = Environment.load()
    models = getattr(compared, group)
    for shown, of in models.items():
        overrides = of.overrides(100)
        if is_baseline(of.model, environment):
            assert overrides.is_empty, shown
            continue
        assembly, _ = named_assembly(of.model, environment, overrides)
        assert not assembly.missing(environment), shown
        if of.is_long:
            assert (assembly.training.epochs, assembly.training.steps_per_epoch) == (4, 25)
        # The full models are as they are registered but for the encoders, their start and epochs.
        if of.model != "dygenept_small":
            assert assembly.training.lr == assembly.training.__class__().lr
            assert assembly.training.loss.direction_weight == 0.1


def test_a_study_becomes_a_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found, figure = tmp_path / "found.json", tmp_path / "curves.svg"
    about = {"dataset": "sim:k562", "scale": None, "metric": "pearson_delta_top20"}
    about |= {"simulated": True, "effects": "go40", "perturbations": 1900}
    found.write_text(json.dumps({**about, **DOCUMENT}), encoding="utf-8")
    figures.draw_curves(found, figure)
    drawn = figure.read_text(encoding="utf-8")
    assert "sim:k562, 1,900 perturbations, 40 % in GO texts" in drawn
    assert "SIMULATED" in drawn
    assert ">steps<" in drawn
    figures.draw_curves(found, figure, without=["steps"], most=1)
    assert ">steps<" not in figure.read_text(encoding="utf-8")
