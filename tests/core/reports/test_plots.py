from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import contributions
import numpy as np
import pytest

from dygenept.errors import ConfigError, DataError, DataUnavailableError, ResultsError
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.model.training.loop import History
from dygenept.reports.changes import ConditionChanges
from dygenept.reports.plots import boards, learning, models, perturbations
from dygenept.reports.plots.kinds import KINDS, PlotRequest, plot_results
from dygenept.reports.plots.style import brief, drawn, write_plot
from dygenept.reports.scores import BoardScores
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.types import GeneKnowledge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

pytest.importorskip("matplotlib")
MakeRecord = Callable[..., RunRecord]


def svg(made: Figure) -> str:
    return drawn(made, ".svg").decode()


def test_a_forest_has_a_point_and_an_interval_for_every_model(
    board_records: list[RunRecord],
) -> None:
    made = boards.forest(leaderboard_of(board_records))
    (axes,) = made.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "ridge"
    assert names[-1] == "technical_duplicate (ceiling)"
    assert "mine (submitted)" in names
    points = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    expected = [row.total.pooled for row in leaderboard_of(board_records).overall.rows]
    assert sorted(points) == pytest.approx(sorted(expected))


def test_simulated_results_say_so_in_every_plot(board_records: list[RunRecord]) -> None:
    dataset = board_records[0].dataset.model_copy(update={"simulated": True})
    made_up = [of.model_copy(update={"dataset": dataset}) for of in board_records]
    for records, expected in ((made_up, True), (board_records, False)):
        text = svg(boards.forest(leaderboard_of(records)))
        assert ("SIMULATED DATA" in text) == expected


def test_names_are_text_and_not_formulas(record: MakeRecord) -> None:
    text = svg(boards.forest(leaderboard_of([record(model="a$x_1$<b>", values=(0.1, 0.2, 0.3))])))
    assert "a$x_1$&lt;b&gt;" in text


def test_the_same_figure_gives_the_same_bytes(board_records: list[RunRecord]) -> None:
    board = leaderboard_of(board_records)
    assert svg(boards.forest(board)) == svg(boards.forest(board))


def test_a_strip_has_every_defined_score(board_records: list[RunRecord]) -> None:
    made = perturbations.strips(BoardScores.of(board_records), "pearson_delta", ["ridge", "linear"])
    strip, _, _, _ = made.axes[0].lines
    assert sorted(strip.get_xdata()) == pytest.approx(
        sorted(0.5 + 0.01 * (place % 3) for place in range(9))
    )


def test_a_paired_plot_counts_where_the_first_model_is_better(
    board_records: list[RunRecord],
) -> None:
    scores = BoardScores.of(board_records)
    made = perturbations.paired(scores, "pearson_delta", "ridge", "linear")
    assert "ridge\nbetter on 9 of 9" in made.axes[0].get_title()
    other = perturbations.paired(scores, "pearson_delta", "linear", "ridge")
    assert "linear\nbetter on 0 of 9" in other.axes[0].get_title()
    with pytest.raises(ConfigError, match="did you mean 'ridge'"):
        perturbations.paired(scores, "pearson_delta", "rigde", "linear")


def test_changes_name_the_top_genes() -> None:
    rng = np.random.default_rng(0)
    found = ConditionChanges(
        ("A1", "B2", "C3", "D4"), (2, 0), rng.normal(size=4), rng.normal(size=4)
    )
    text = svg(perturbations.changes(found, "m on p", is_simulated=False))
    assert "C3" in text
    assert "A1" in text
    assert "B2" not in text


def test_names_stay_in_the_axes_and_never_meet() -> None:
    from matplotlib.text import Text

    rng = np.random.default_rng(1)
    symbols = tuple(f"GENE{place}" for place in range(30))
    true = np.concatenate(([1.5], rng.normal(0, 0.02, 29)))
    found = ConditionChanges(symbols, tuple(range(20)), true, true * 1.1)
    made = perturbations.changes(found, "m on p", is_simulated=False)
    made.draw_without_rendering()
    (axes,) = made.axes
    frame = axes.get_window_extent()
    # Of the names alone, without the lines that lead to them.
    boxes = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
    assert "GENE0" in boxes
    assert 5 <= len(boxes) <= 20
    for name, box in boxes.items():
        assert frame.x0 <= box.x0, name
        assert box.x1 <= frame.x1, name
        assert frame.y0 <= box.y0, name
        assert box.y1 <= frame.y1, name
        assert not any(box.overlaps(other) for of, other in boxes.items() if of != name), name


@pytest.mark.parametrize("kind", ["forest", "strips", "time"])
def test_a_plot_of_nothing_is_refused(record: MakeRecord, tmp_path: Path, kind: str) -> None:
    nothing = [
        record(model="a", values=(None, None)),
        record(key="b" * 32, model="b", values=(None,)),
    ]
    with pytest.raises(ResultsError, match="nothing to plot"):
        plot_results(nothing, PlotRequest(kind, models=("a", "b")), ResultsStore(tmp_path))


def test_signs_that_no_font_has_are_no_warning(record: MakeRecord) -> None:
    drawn(boards.forest(leaderboard_of([record(model="日本語"), record(key="b" * 32)])), ".png")


def test_calibration_has_a_point_for_each_range(board_records: list[RunRecord]) -> None:
    rows = leaderboard_of(board_records).overall.rows
    made = boards.calibration(board_records[0].dataset, boards.ranges_of(rows))
    points = [line for line in made.axes[0].lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in points] == [rows[0].calibration.fraction]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "changes"])
def test_every_kind_is_drawn_from_records(
    board_records: list[RunRecord], tmp_path: Path, kind: str
) -> None:
    made = plot_results(board_records, PlotRequest(kind), ResultsStore(tmp_path))
    assert made.axes
    write_plot(made, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (PlotRequest("forrest"), ConfigError, "did you mean 'forest'"),
        (PlotRequest("forest", metric="pearson"), ConfigError, "unknown metric 'pearson'"),
        (PlotRequest("changes"), ConfigError, "name a model and a perturbation"),
        (PlotRequest("paired", models=("ridge",)), ConfigError, "name two models"),
        (
            PlotRequest("changes", models=("ridge",), perturbation="g1"),
            ResultsError,
            "does not keep what was measured",
        ),
    ],
)
def test_what_cannot_be_plotted_is_said(
    board_records: list[RunRecord],
    tmp_path: Path,
    request_: PlotRequest,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        plot_results(board_records, request_, ResultsStore(tmp_path))


def test_a_heat_map_crosses_out_what_is_unknown() -> None:
    rows = [models.FacetRow("KLF1", ("a", "b"), (0.75, 0.0), (True, False))]
    axes, _ = models.attention("m", rows).axes
    assert axes.images[0].get_array().tolist()[0] == [0.75]
    assert np.ma.getmaskarray(axes.images[0].get_array())[1, 0]
    (cross,) = axes.lines
    assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([0], [1])


def test_coverage_tells_known_inferred_and_unknown_apart() -> None:
    confidence = np.array([[1.0, 0.5], [1.0, 0.0], [0.0, 0.0], [0.3, 1.0]], dtype=np.float32)
    values = np.zeros((4, 2, 3), dtype=np.float32)
    known = GeneKnowledge("set", "0", ("A", "B", "C", "D"), ("x", "y"), values, confidence)
    (axes,) = models.coverage(known).axes
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == pytest.approx([0.5, 0.25, 0.25, 0.25, 0.25, 0.5])


def test_training_history_has_a_line_for_each_member() -> None:
    left, right = models.history("m", [History((3.0, 2.0), (0.1, 0.2), 2)]).axes
    assert list(left.lines[0].get_ydata()) == [3.0, 2.0]
    assert list(right.lines[0].get_ydata()) == [0.1, 0.2]
    with pytest.raises(DataError, match="only in closed form"):
        models.history("m", [History((), (), 0)])


def test_learning_curves_need_several_sizes() -> None:
    point = learning.LearningPoint(10, 0.5, None, 1)
    made = learning.plot_learning({"m": [point]}, "mse", dataset="toy", is_simulated=False)
    assert made.axes[0].lines[0].get_xdata().tolist() == [10]


def test_other_endings_and_a_missing_library_are_refused(
    board_records: list[RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = leaderboard_of(board_records)
    with pytest.raises(ConfigError, match=r"plots are \.svg"):
        write_plot(boards.forest(board), tmp_path / "plot.jpeg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DataUnavailableError, match=r"dygenept\[plot\]"):
        boards.forest(board)


def test_long_names_keep_both_ends() -> None:
    assert brief("dygenept_small[attention=softmax]", 20) == "dygenept_s…=softmax]"
    assert brief("short") == "short"


def test_contributions_have_a_row_each_and_a_point_per_data_set(record: MakeRecord) -> None:
    ensemble = {"identity_share.1": 0.25, "identity_share.2": 0.75, "penalty.1": 3.0}
    chosen = ({"identity_share": 0.9, "penalty": 3.0}, ensemble)
    records = [
        record(model="mine", values=(0.1, 0.2, 0.3)).model_copy(update={"chosen": of})
        for of in chosen
    ]
    (found,) = contributions.contributions_of(records, "mine")
    assert found.values == {"identity_share": (0.9, 0.5)}
    made = contributions.plot_contributions([found], "mine", is_simulated=True)
    (axes,) = made.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "read from the genes' own codes"
    ]
    assert axes.lines[0].get_xdata()[0] == pytest.approx(0.7)
    assert "SIMULATED DATA" in svg(made)
    with pytest.raises(ResultsError, match="no record of other says"):
        contributions.contributions_of(records, "other")
