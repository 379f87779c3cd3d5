"""ImageMetrics evaluates probabilities per image and pooled, and writes both."""

from __future__ import annotations

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from sklearn.metrics import roc_auc_score

from bundle.tasks.images import ImageMetrics


def square(size: int, first: int = 2) -> torch.Tensor:
    mask = torch.zeros(1, 20, 24)
    mask[:, 2 : 2 + size, first : first + size] = 1
    return mask


def run(handler: ImageMetrics, pairs: list[tuple[torch.Tensor, torch.Tensor] | None]) -> Engine:
    """Let an engine give pairs of probabilities and label; None is an image that failed."""

    def step(engine: Engine, pair: Any) -> Any:
        engine.state.batch = [] if pair is None else [{"case": f"image{engine.state.iteration}"}]
        return [] if pair is None else [{"pred": pair[0], "label": pair[1]}]

    engine = Engine(step)
    handler.attach(engine, "score")
    engine.run(pairs, max_epochs=1, epoch_length=len(pairs))
    return engine


PAIRS = [(square(8) * 0.9, square(8)), (square(4) * 0.7 + 0.1, square(8))]
"""A match, and a square of which a quarter is found."""


def test_the_key_metric_is_the_mean_dice_of_the_images() -> None:
    metrics = run(ImageMetrics(), [PAIRS[0], None, PAIRS[1]]).state.metrics
    assert metrics["score"] == metrics["dice"] == pytest.approx((1 + 0.4) / 2)
    assert metrics["jaccard"] == pytest.approx((1 + 0.25) / 2)
    assert metrics["thresholded_jaccard"] == pytest.approx(0.5)


def test_another_key_metric_can_be_named() -> None:
    engine = run(ImageMetrics(key="mean_iou"), PAIRS)
    background = (480 - 64) / (480 - 16)
    assert engine.state.metrics["score"] == pytest.approx((1 + (0.25 + background) / 2) / 2)


def test_pooled_and_per_image_metrics_are_written_by_their_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run(ImageMetrics(output_dir=tmp_path / "out"), PAIRS)
    content = json.loads((tmp_path / "out/metrics.json").read_text())
    assert content["per_image"]["lesion"]["dice"]["mean"] == pytest.approx(0.7)
    assert content["pooled"]["lesion"]["dice"]["value"] == pytest.approx(2 * 80 / (80 + 128))
    assert content["pooled"]["lesion"]["dice"]["low"] <= 2 * 80 / (80 + 128)
    assert content["threshold"] == 0.5
    reference = torch.cat([label.flatten() for _, label in PAIRS])
    values = torch.cat([pred.flatten() for pred, _ in PAIRS])
    auc = content["pooled"]["lesion"]["auc"]
    assert auc["value"] == pytest.approx(roc_auc_score(reference, values.double().numpy().round(3)))
    assert auc["low"] is None
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").read_text().splitlines()))
    assert [(row["case"], row["structure"]) for row in rows] == [("image1", "lesion"), ("image2", "lesion")]
    assert [float(row["jaccard"]) for row in rows] == [1, 0.25]
    assert "lesion, per_image (2 images): dice 0.7000" in caplog.text
    assert "lesion, pooled (2 images): dice 0.7692" in caplog.text


def test_a_single_class_has_a_threshold() -> None:
    assert run(ImageMetrics(threshold=0.85), PAIRS).state.metrics["dice"] == pytest.approx(0.5)


def test_of_several_classes_the_most_probable_is_used(tmp_path: Path) -> None:
    label = square(4) + 2 * square(4, first=10)
    pred = torch.cat([0.4 + 0 * label, 0.5 * square(4), 0.45 * square(4, first=10)])
    handler = ImageMetrics({"nucleus": 1, "cytoplasm": 2}, output_dir=tmp_path)
    assert run(handler, [(pred, label)]).state.metrics["score"] == 1
    assert [row["structure"] for row in handler.rows] == ["nucleus", "cytoplasm"]
    pooled = json.loads((tmp_path / "metrics.json").read_text())["pooled"]
    assert pooled["cytoplasm"]["auc"]["value"] == 1


def test_objects_are_compared_where_that_is_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = [(square(8), square(8)), (square(0), square(6))]
    with caplog.at_level("INFO"):
        handler = ImageMetrics({"cell": 1}, output_dir=tmp_path, objects="true")
        run(handler, pairs)
    content = json.loads((tmp_path / "metrics.json").read_text())["objects"]
    assert [row["objects"] for row in content["cases"]] == [1, 0]
    assert [row["panoptic_quality"] for row in content["cases"]] == [1.0, 0.0]
    assert content["per_image"]["count_error"]["mean"] == 0.5
    assert "objects (2 images): panoptic_quality 0.500" in caplog.text
    run(handler, pairs[:1])
    assert handler.objects is not None
    assert len(handler.objects.rows) == 1
    assert ImageMetrics({"cell": 1}, objects=True).objects is None


def test_the_largest_region_without_holes_can_be_evaluated() -> None:
    pred = square(8)
    pred[:, 4, 4] = 0
    pred[:, 15, 20] = 1
    assert run(ImageMetrics(), [(pred, square(8))]).state.metrics["jaccard"] == pytest.approx(63 / 65)
    assert run(ImageMetrics(single_region="true"), [(pred, square(8))]).state.metrics["jaccard"] == 1


def test_without_images_there_is_no_metric(tmp_path: Path) -> None:
    assert math.isnan(run(ImageMetrics(output_dir=tmp_path), [None]).state.metrics["score"])
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert (content["pooled"], content["cases"]) == ({}, [])


def test_an_epoch_starts_without_rows() -> None:
    handler = ImageMetrics()
    run(handler, PAIRS)
    run(handler, PAIRS[:1])
    assert len(handler.rows) == 1


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        (torch.full((1, 20, 24), 3.0), "image1: 'pred' holds values from 3 to 3.*Activationsd with sigmoid"),
        (torch.full((1, 20, 24), math.nan), "not probabilities"),
        (torch.zeros(2, 20, 24), r"image1: 'pred' has the shape \(2, 20, 24\); \(1, H, W\) is expected"),
        (torch.zeros(1, 10, 12), r"'pred' is \(10, 12\) and 'label' \(20, 24\) pixels.*RestoreImageSized"),
    ],
)
def test_what_is_not_a_probability_of_the_image_is_refused(pred: torch.Tensor, message: str) -> None:
    handler = ImageMetrics()
    engine = Engine(lambda _, __: None)
    engine.state.batch, engine.state.output = [{"case": "image1"}], [{"pred": pred, "label": square(8)}]
    with pytest.raises(ValueError, match=message):
        handler._update(engine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_names": {"lesion": 255}}, "count from 1 to 1, got {'lesion': 255}"),
        ({"threshold": 1.0}, r"threshold must lie in \[0, 1\), got 1.0"),
        ({"key": "auc"}, "key must be one of dice, .*, got 'auc'"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageMetrics(**options)
