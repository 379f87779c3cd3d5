from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor

from bundle.inference import CaseMetrics

NAMES = {"left": 1, "right": 2}


def label_map(*corners: int) -> MetaTensor:
    """Return a volume with a cube of 4 voxels a side of class 1, 2, ... at every corner."""
    values = torch.zeros(1, 12, 12, 12, dtype=torch.uint8)
    for value, corner in enumerate(corners, start=1):
        values[0, corner : corner + 4, 2:6, 2:6] = value
    return MetaTensor(values, affine=torch.diag(torch.tensor([2.0, 1, 1, 1])))


def run(handler: CaseMetrics, cases: list[tuple[MetaTensor, MetaTensor] | None]) -> Engine:
    """Let an engine give the pairs of prediction and label; None is a case that failed."""

    def step(engine: Engine, pair: Any) -> Any:
        engine.state.batch = [] if pair is None else [{"case": f"case{engine.state.iteration}"}]
        return [] if pair is None else [{"pred": pair[0], "label": pair[1]}]

    engine = Engine(step)
    handler.attach(engine, "mean_dice")
    engine.run(cases, max_epochs=1, epoch_length=len(cases))
    return engine


def test_the_metric_is_the_mean_dice_over_cases_and_structures() -> None:
    cases = [(label_map(0, 6), label_map(0, 6)), (label_map(0, 7), label_map(0, 6))]
    engine = run(CaseMetrics(NAMES), cases)
    assert engine.state.metrics["mean_dice"] == pytest.approx((1 + 1 + 1 + 0.75) / 4)


def test_rows_and_intervals_are_written(tmp_path: Path) -> None:
    run(
        CaseMetrics(NAMES, output_dir=tmp_path),
        [(label_map(0, 7), label_map(0, 6)), (label_map(0, 6), label_map(0, 6))],
    )
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [float(row["dice"]) for row in rows if row["structure"] == "right"] == [0.75, 1.0]
    assert float(rows[1]["hd95_mm"]) == pytest.approx(2.0)
    summary = json.loads((tmp_path / "metrics.json").read_text())["summary"]["right"]["dice"]
    assert summary["mean"] == pytest.approx(0.875)
    assert 0.75 <= summary["low"] <= summary["high"] <= 1.0


def test_failed_cases_are_passed_over() -> None:
    handler = CaseMetrics(NAMES)
    run(handler, [None, (label_map(0, 6), label_map(0, 6)), None])
    assert len(handler.rows) == 2


def test_undefined_values_are_null_in_json(tmp_path: Path) -> None:
    engine = run(CaseMetrics(NAMES, output_dir=tmp_path), [(label_map(), label_map())])
    assert math.isnan(engine.state.metrics["mean_dice"])
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["summary"]["left"]["dice"] == {"mean": None, "low": None, "high": None, "n": 0}


def test_a_second_run_starts_anew() -> None:
    handler = CaseMetrics(NAMES)
    engine = run(handler, [(label_map(0, 6), label_map(0, 6))])
    engine.fire_event(Events.EPOCH_STARTED)
    assert handler.rows == []


def test_the_spacing_is_that_of_the_label() -> None:
    handler = CaseMetrics(NAMES)
    state = SimpleNamespace(batch=[{"case": "a"}], output=[{"pred": label_map(1, 6), "label": label_map(0, 6)}])
    handler._update(SimpleNamespace(state=state))
    assert handler.rows[0]["hd95_mm"] == pytest.approx(2.0)
    assert np.isclose(handler.rows[0]["rvd"], 0)


def test_false_negatives_and_false_positives_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases = [(label_map(0), label_map(0, 6)), (label_map(0, 6), label_map(0)), (label_map(0, 6), label_map(0, 6))]
    run(CaseMetrics(NAMES, output_dir=tmp_path, unmatched_mm=50.0), cases)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["false_negatives"] == {"left": 0, "right": 1}
    assert content["false_positives"] == {"left": 0, "right": 1}
    assert content["unmatched_mm"] == 50
    assert content["summary"]["right"]["hd95_mm"]["mean"] == pytest.approx(100 / 3)
    assert "false negative: right in 1 cases" in caplog.text
    assert "left in" not in caplog.text


def test_regions_are_several_values_of_a_label_map_or_masks_that_overlap() -> None:
    truth, pred = label_map(0, 6), label_map(0, 7)
    values = pred.as_tensor()
    masks = MetaTensor(torch.cat([values >= 1, values == 2]).float(), affine=pred.affine)
    for found in (pred, masks):
        handler = CaseMetrics({"both": [1, 2], "right": 2})
        run(handler, [(found, truth)])
        assert [row["dice"] for row in handler.rows] == [pytest.approx(0.875), 0.75]


def test_original_metrics_are_added_to_those_of_the_field(tmp_path: Path) -> None:
    handler = CaseMetrics(NAMES, output_dir=tmp_path, original="true")
    run(handler, [(label_map(0, 7), label_map(0, 6))])
    (row,) = (row for row in handler.rows if row["structure"] == "right")
    assert (row["hd95_mm"], row["original_hd_voxels"]) == (2.0, 1.0)
    assert row["original_dice"] == pytest.approx(row["dice"], abs=1e-6)
    columns = next(csv.reader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert columns[2:10] == ["dice", "iou", "hd95_mm", "nsd", "assd_mm", "masd_mm", "voe", "rvd"]
    originals = [name for name in row if name.startswith("original_")]
    assert columns[10:] == [*originals, "volume_mm3", "reference_mm3"]
    assert (row["volume_mm3"], row["reference_mm3"]) == (128.0, 128.0)


def test_neither_the_background_nor_ignored_voxels_are_scored() -> None:
    names = {"background": 0, **NAMES, "ignore": 3}
    pred, label = label_map(0, 7), label_map(0, 6).float()
    label[:, :4] = -1
    handler = CaseMetrics(names, original=True)
    engine = run(handler, [(pred, label)])
    assert list(handler.label_names) == list(NAMES)
    assert engine.state.metrics["mean_dice"] == pytest.approx(0.75)
    assert {row["structure"] for row in handler.rows} == set(NAMES)
