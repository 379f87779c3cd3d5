from __future__ import annotations

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from bundle.tasks.spine import LEVEL_METRICS, DiscMetrics
from bundle.tasks.spine.discs import Disc

LUMBAR = np.array([[value, 0.0, 0.0, -30.0 * value] for value in range(20, 26)])


def discs(points: np.ndarray = LUMBAR, shift: int = 0, by: float = 0.0) -> list[Disc]:
    return [Disc(int(value) + shift, (r, a + by, s), 0.9) for value, r, a, s in points.tolist()]


def case(pred: list[Disc], points: np.ndarray = LUMBAR, **notes: Any) -> dict[str, Any]:
    return {"discs": pred, "points": torch.as_tensor(points), **notes}


def run(handler: DiscMetrics, cases: list[dict[str, Any] | None]) -> Engine:
    """Let an engine give the cases as MONAI's does; None is a case that failed."""

    def step(engine: Engine, item: Any) -> Any:
        notes = {name: item[name] for name in item if name != "discs"} if item else {}
        engine.state.batch = [{"case": f"case{engine.state.iteration}", **notes}] if item else []
        return [{"discs": item["discs"]} if "discs" in item else {}] if item else []

    engine = Engine(step)
    handler.attach(engine, "identification_rate")
    engine.run(cases, max_epochs=1, epoch_length=len(cases))
    return engine


def test_the_metrics_are_over_the_discs_of_all_cases() -> None:
    metrics = run(DiscMetrics(), [case(discs(by=1)), None, case(discs(LUMBAR[:2], -1, 3), LUMBAR[:2])]).state.metrics
    assert metrics == {
        "identification_rate": pytest.approx(6 / 8),
        "distance_median_mm": 1,
        "level_right": pytest.approx(1 / 2),
    }


def test_no_case_has_metrics_that_are_not_defined() -> None:
    assert all(math.isnan(value) for value in run(DiscMetrics(), [None]).state.metrics.values())


def test_a_row_a_case_and_level_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    run(DiscMetrics(output_dir=folder), [case(discs(LUMBAR[1:], by=2), group="site"), case([])])
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert list(rows[0]) == ["case", "group", "level", "name", *LEVEL_METRICS]
    assert [row["name"] for row in rows[:6]] == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert [row["identified"] for row in rows] == ["0", *"11111", *"000000"]
    assert (rows[0]["error_mm"], rows[1]["error_mm"], rows[1]["matched_level"]) == ("", "2.0", "21")
    assert [row["group"] for row in rows] == ["site"] * 6 + [""] * 6


def test_statistics_and_the_numbers_of_the_original_are_written(tmp_path: Path, caplog: Any) -> None:
    cases = [
        case(discs(), group="b"),
        case(discs(shift=-1), group="b"),
        case(discs(LUMBAR[:3], by=4), LUMBAR[:3], group="a"),
    ]
    with caplog.at_level(logging.INFO):
        run(DiscMetrics(output_dir=tmp_path, pixel_mm=2.0), cases)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert {name: content[name] for name in ("tolerance_mm", "reach_mm", "in_plane", "pixel_mm")} == {
        "tolerance_mm": 5.0,
        "reach_mm": 20.0,
        "in_plane": False,
        "pixel_mm": 2.0,
    }
    assert list(content["groups"]) == ["a", "b"]
    assert content["groups"]["b"]["identification_rate"]["value"] == 0.5
    summary = content["summary"]
    assert (summary["exams"], summary["discs"], summary["sacrum_in_view"]["exams"]) == (3, 15, 2)
    assert summary["identification_rate"]["value"] == 0.6
    assert summary["level_right"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert content["groups"]["a"]["identification_rate"]["low"] is None, "one case has no interval"
    assert content["original"]["mean_z_px"] == 0
    assert content["original"]["std_l2_px"] == pytest.approx(np.std([0] * 12 + [2] * 3))
    second = content["cases"][1]
    assert (second["case"], second["group"]) == ("case2", "b")
    assert (second["metrics"]["off_by_one"], second["metrics"]["shift"], second["metrics"]["references"]) == (1, -1, 6)
    assert second["levels"][0] == {**second["levels"][0], "level": 19, "name": "T11-T12", "referenced": 0}
    assert "b (2 exams, 12 discs): identification_rate 0.500 [" in caplog.text


def test_predictions_beyond_an_incomplete_reference_are_not_counted() -> None:
    handler = DiscMetrics()
    run(handler, [case(discs(), LUMBAR[:3], complete=torch.tensor(False)), case(discs(), LUMBAR[:3])])
    assert [exam.comparison.metrics["false_positives"] for exam in handler.exams] == [0, 3]


def test_options_reach_the_comparison() -> None:
    far = np.add(LUMBAR, [0, 8, 0, 0])
    assert run(DiscMetrics(), [case(discs(far))]).state.metrics["identification_rate"] == 0
    assert run(DiscMetrics(in_plane=True), [case(discs(far))]).state.metrics["identification_rate"] == 1
    assert run(DiscMetrics(tolerance_mm=9), [case(discs(far))]).state.metrics["identification_rate"] == 1


def test_a_second_run_starts_anew() -> None:
    handler = DiscMetrics()
    engine = run(handler, [case(discs())])
    engine.fire_event(Events.EPOCH_STARTED)
    assert handler.exams == []


@pytest.mark.parametrize(("key", "transform"), [("discs", "DecodeDiscsd"), ("points", "LoadDiscPointsd")])
@pytest.mark.filterwarnings("ignore")
def test_a_case_without_discs_or_points_names_what_is_missing(key: str, transform: str) -> None:
    item = case(discs())
    del item[key]
    with pytest.raises(
        ValueError, match=f"case case1 has no '{key}' for DiscMetrics; add bundle.tasks.spine.{transform}"
    ):
        run(DiscMetrics(), [item])
