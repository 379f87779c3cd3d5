"""ClassificationMetrics evaluates every class against the rest, writes curves, and calibrates on validation images."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from scipy.special import expit
from sklearn import metrics

from bundle.tasks.classification import ClassificationMetrics, pool_scores
from bundle.tasks.classification import classification_handler as classification_metrics

NAMES = ["melanoma", "keratosis"]


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw 50 samples for intervals; that they are right is shown by the tests of the metrics."""
    real = classification_metrics.binary_intervals
    monkeypatch.setattr(
        classification_metrics, "binary_intervals", lambda *args, **options: real(*args, **options, resamples=50)
    )


def images(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, of a network that is too sure, and labels ``(count, 2)``."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (count, 2))
    labels = (rng.random((count, 2)) < expit(logits)).astype(np.float32)
    return expit(3 * logits).astype(np.float32), labels


def run(handler: ClassificationMetrics, probability: np.ndarray, labels: np.ndarray) -> Engine:
    """Let an engine give one image after the other; one whose probability is NaN has failed."""

    def step(engine: Engine, number: int) -> Any:
        if np.isnan(probability[number]).any():
            engine.state.batch = []
            return []
        engine.state.batch = [{"case": f"p{number}"}]
        return [{"pred": torch.as_tensor(probability[number]), "label": torch.as_tensor(labels[number])}]

    engine = Engine(step)
    handler.attach(engine, "mean_auc")
    engine.run(range(len(labels)), max_epochs=1)
    return engine


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_key_metric_is_the_mean_auc_of_the_classes() -> None:
    probability, labels = images()
    found = run(ClassificationMetrics(NAMES), probability, labels).state.metrics
    areas = [metrics.roc_auc_score(labels[:, i], probability[:, i]) for i in (0, 1)]
    assert [found["auc_melanoma"], found["auc_keratosis"]] == pytest.approx(areas)
    assert found["mean_auc"] == pytest.approx(np.mean(areas))


def test_a_class_without_positives_is_not_in_the_mean() -> None:
    probability, labels = images()
    labels[:, 1] = 0
    found = run(ClassificationMetrics(NAMES), probability, labels).state.metrics
    assert math.isnan(found["auc_keratosis"])
    assert found["mean_auc"] == found["auc_melanoma"]
    labels[:, 0] = 0
    assert math.isnan(run(ClassificationMetrics(NAMES), probability, labels).state.metrics["mean_auc"])


def test_scores_and_statistics_are_written(tmp_path: Path) -> None:
    probability, labels = images()
    probability[3] = math.nan
    handler = ClassificationMetrics(NAMES, output_dir=tmp_path / "out", thresholds={"melanoma": 0.3, "keratosis": 0.7})
    run(handler, probability, labels)
    kept = [number for number in range(len(labels)) if number != 3]
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").read_text().splitlines()))
    assert [row["case"] for row in rows[::2]] == [f"p{number}" for number in kept]
    assert [int(row["positive"]) for row in rows[1::2]] == (probability[kept, 1] > 0.7).astype(int).tolist()
    content = read(tmp_path / "out/metrics.json")
    assert content["thresholds"] == {"melanoma": 0.3, "keratosis": 0.7}
    recall = content["summary"]["melanoma"]["sensitivity"]
    assert recall["value"] == pytest.approx(metrics.recall_score(labels[kept, 0], probability[kept, 0] > 0.3))
    assert recall["low"] <= recall["value"] <= recall["high"]
    assert len(content["cases"]) == 78
    assert "calibration" not in content


def test_curves_are_those_of_scikit_learn(tmp_path: Path) -> None:
    probability, labels = images()
    run(ClassificationMetrics(NAMES, output_dir=tmp_path, thresholds=0.4), probability, labels)
    curves = read(tmp_path / "curves.json")["keratosis"]
    false_rate, true_rate, _ = metrics.roc_curve(labels[:, 1], probability[:, 1], drop_intermediate=False)
    assert curves["roc"]["false_positive_rate"] == pytest.approx(false_rate.tolist())
    assert curves["roc"]["true_positive_rate"] == pytest.approx(true_rate.tolist())
    precision, recall, _ = metrics.precision_recall_curve(labels[:, 1], probability[:, 1])
    assert curves["precision_recall"]["precision"] == pytest.approx(precision[-2::-1].tolist())
    assert curves["precision_recall"]["recall"] == pytest.approx(recall[-2::-1].tolist())
    called = probability[:, 1] > 0.4
    point = curves["operating_point"]
    assert point["true_positive_rate"] == pytest.approx(metrics.recall_score(labels[:, 1], called))
    assert point["false_positive_rate"] == pytest.approx(1 - metrics.recall_score(1 - labels[:, 1], ~called))
    assert point["precision"] == pytest.approx(metrics.precision_score(labels[:, 1], called))
    assert sum(part["n"] for part in curves["reliability"]) == 40


def test_a_threshold_above_all_scores_has_no_precision(tmp_path: Path) -> None:
    probability, labels = np.array([[0.2], [0.4]], np.float32), np.array([[0], [1]])
    run(ClassificationMetrics(["melanoma"], output_dir=tmp_path), probability, labels)
    point = read(tmp_path / "curves.json")["melanoma"]["operating_point"]
    assert point == {"threshold": 0.5, "false_positive_rate": 0, "true_positive_rate": 0, "precision": None}


def test_calibration_finds_the_overconfidence_of_the_network(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    probability, labels = images(400)
    labels[:, 1] = 1
    with caplog.at_level(logging.INFO):
        run(ClassificationMetrics(NAMES, output_dir=tmp_path, calibrate="true"), probability, labels)
    found = read(tmp_path / "metrics.json")["calibration"]
    assert found["keratosis"] is None
    assert "keratosis is not calibrated" in caplog.text
    assert found["melanoma"]["temperature"] == pytest.approx(3, rel=0.3)
    assert found["melanoma"]["calibration_error_after"] < found["melanoma"]["calibration_error_before"]
    assert 0 < found["melanoma"]["threshold"] < 1
    assert "melanoma, calibration: temperature" in caplog.text


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        ([0.5], "p: 2 classes have 1 predictions and 2 labels"),
        ([0.5, 3.0], r"p: 'pred' holds \[0.5, 3.0\], which are not probabilities; add .*ComputeClassProbabilityd"),
        ([0.5, math.nan], "not probabilities"),
    ],
)
def test_what_is_not_a_probability_of_every_class_is_refused(pred: Sequence[float], message: str) -> None:
    engine = Engine(lambda _, __: None)
    engine.state.batch, engine.state.output = [{"case": "p"}], [{"pred": torch.tensor(pred), "label": [0, 1]}]
    with pytest.raises(ValueError, match=message):
        ClassificationMetrics(NAMES)._update(engine)


@pytest.mark.parametrize(
    ("names", "thresholds", "message"),
    [
        ([], 0.5, "one or more different names"),
        (["a", "a"], 0.5, "one or more different names"),
        (NAMES, {"melanoma": 0.5}, "thresholds must give a number .* melanoma, keratosis"),
        (NAMES, 1.0, r"\[0, 1\)"),
    ],
)
def test_invalid_arguments_are_refused(names: list[str], thresholds: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassificationMetrics(names, thresholds=thresholds)


def test_of_exclusive_classes_the_most_probable_one_is_evaluated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    probability, _ = images(30)
    labels = np.eye(2)[np.arange(30) % 3 // 2]
    with caplog.at_level(logging.INFO):
        run(ClassificationMetrics(NAMES, output_dir=tmp_path, exclusive="true"), probability, labels)
    found = read(tmp_path / "metrics.json")["balanced_accuracy"]
    predicted, reference = probability.argmax(axis=1), labels.argmax(axis=1)
    assert found["value"] == pytest.approx(metrics.balanced_accuracy_score(reference, predicted))
    assert found["low"] < found["value"] < found["high"]
    assert "balanced accuracy of the most probable class: 0." in caplog.text


def test_an_image_of_two_classes_is_not_exclusive(tmp_path: Path) -> None:
    probability, labels = images(4)
    labels[:] = [1, 0]
    labels[2] = 1
    with pytest.raises(ValueError, match="p2: has 2 classes; set exclusive to false"):
        run(ClassificationMetrics(NAMES, output_dir=tmp_path, exclusive=True), probability, labels)


def test_a_run_in_which_all_images_failed_is_written(tmp_path: Path) -> None:
    run(ClassificationMetrics(NAMES, output_dir=tmp_path, exclusive=True), np.full((1, 2), np.nan), np.zeros((1, 2)))
    content = read(tmp_path / "metrics.json")
    assert content["summary"]["melanoma"]["auc"]["value"] is None
    assert "balanced_accuracy" not in content


@pytest.fixture
def folds(tmp_path: Path) -> list[Path]:
    """Evaluations of 40 images in two parts."""
    probability, labels = images()
    for fold in range(2):
        part = probability.copy()
        part[[number for number in range(40) if number % 2 != fold]] = np.nan
        run(ClassificationMetrics(NAMES, output_dir=tmp_path / f"fold{fold}"), part, labels)
    return [tmp_path / "fold0", tmp_path / "fold1"]


def test_folds_are_pooled_to_one_evaluation(folds: list[Path], tmp_path: Path) -> None:
    probability, labels = images()
    options: dict[str, Any] = {"thresholds": {"melanoma": 0.3, "keratosis": 0.6}, "calibrate": True}
    run(ClassificationMetrics(NAMES, output_dir=tmp_path / "complete", **options), probability, labels)
    pool_scores(folds, NAMES, output_dir=tmp_path / "pooled", **options)
    complete, pooled = (read(tmp_path / name / "metrics.json") for name in ("complete", "pooled"))
    assert sorted(pooled.pop("cases"), key=str) == sorted(complete.pop("cases"), key=str)
    for name in NAMES:
        for metric, values in complete["summary"][name].items():
            assert pooled["summary"][name][metric]["value"] == pytest.approx(values["value"]), metric
            assert pooled["summary"][name][metric]["n"] == 40
        assert pooled["calibration"][name] == pytest.approx(complete["calibration"][name])
    assert (tmp_path / "pooled" / "curves.json").is_file()


def test_what_cannot_be_pooled_is_refused(folds: list[Path], tmp_path: Path) -> None:
    for runs in ([], str(folds[0])):
        with pytest.raises(ValueError, match="runs must be a list of folders"):
            pool_scores(runs, NAMES, output_dir=tmp_path)
    with pytest.raises(ValueError, match=r"fold0: has p0, which is also in .*fold0; pass every run once"):
        pool_scores([folds[0], folds[0]], NAMES, output_dir=tmp_path)
    with pytest.raises(ValueError, match=r"metrics\.csv: has the classes melanoma, keratosis, not \['melanoma'\]"):
        pool_scores(folds, NAMES[:1], output_dir=tmp_path)
    for text in ("case,class\np0,melanoma\n", "case,class,probability,label\np0,melanoma,high,1\n"):
        (folds[1] / "metrics.csv").write_text(text)
        with pytest.raises(ValueError, match=r"fold1/metrics\.csv: is not a table of an evaluation"):
            pool_scores(folds, NAMES, output_dir=tmp_path)
    with pytest.raises(ValueError, match="is not a table of an evaluation"):
        pool_scores([tmp_path / "absent"], NAMES, output_dir=tmp_path)
