"""Metrics of images: by hand, against MONAI and scikit-learn, per image and pooled, and where masks are empty."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU, compute_confusion_matrix_metric, get_confusion_matrix
from scipy import ndimage
from sklearn import metrics

from bundle.metrics import IMAGE_METRICS, ImageScores, image_metrics, mean_iou
from bundle.metrics.image_metrics import POOLED_METRICS, confusion_counts

EMPTY = torch.zeros(6, 7, dtype=torch.bool)
FULL = torch.ones(6, 7, dtype=torch.bool)


def one_pixel(row: int = 2, column: int = 3) -> torch.Tensor:
    mask = EMPTY.clone()
    mask[row, column] = True
    return mask


def pair(seed: int, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(size, size)), 3) for _ in range(2)]
    return torch.as_tensor(fields[0] > 0.05), torch.as_tensor(fields[0] + 0.4 * fields[1] > 0.05)


def row(dice: float, jaccard: float, sensitivity: float, specificity: float, accuracy: float) -> dict[str, float]:
    return {
        "dice": dice,
        "jaccard": jaccard,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": accuracy,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "thresholded_jaccard": jaccard if jaccard >= 0.65 else 0.0,
    }


@pytest.mark.parametrize(
    ("pred", "label", "expected"),
    [
        (EMPTY, EMPTY, row(1, 1, 1, 1, 1)),
        (FULL, FULL, row(1, 1, 1, 1, 1)),
        (EMPTY, FULL, row(0, 0, 0, 1, 0)),
        (FULL, EMPTY, row(0, 0, 1, 0, 0)),
        (EMPTY, one_pixel(), row(0, 0, 0, 1, 41 / 42)),
        (one_pixel(), EMPTY, row(0, 0, 1, 41 / 42, 41 / 42)),
        (one_pixel(), one_pixel(), row(1, 1, 1, 1, 1)),
        (one_pixel(), one_pixel(2, 4), row(0, 0, 0, 40 / 41, 40 / 42)),
        (one_pixel() | one_pixel(2, 4), one_pixel(), row(2 / 3, 1 / 2, 1, 40 / 41, 41 / 42)),
    ],
    ids=["both empty", "both full", "missed", "invented", "missed pixel", "invented pixel", "met", "beside", "twice"],
)
def test_edge_cases_by_hand(pred: torch.Tensor, label: torch.Tensor, expected: dict[str, float]) -> None:
    found = image_metrics(pred, label)
    assert set(found) == set(IMAGE_METRICS)
    assert found == {name: pytest.approx(value) for name, value in expected.items()}


@pytest.mark.parametrize("seed", range(3))
def test_metrics_agree_with_monai_and_scikit_learn(seed: int) -> None:
    pred, label = pair(seed)
    found = image_metrics(pred, label)
    batch = pred[None, None].float(), label[None, None].float()
    assert found["dice"] == pytest.approx(float(DiceMetric()(*batch)), rel=1e-6)
    assert found["jaccard"] == pytest.approx(float(MeanIoU()(*batch)), rel=1e-6)
    matrix = get_confusion_matrix(*batch)
    for name in ("sensitivity", "specificity", "accuracy", "balanced_accuracy"):
        theirs = float(compute_confusion_matrix_metric(name.replace("_", " "), matrix))
        assert found[name] == pytest.approx(theirs, rel=1e-6)
    p, g = pred.numpy().ravel(), label.numpy().ravel()
    assert found["dice"] == pytest.approx(metrics.f1_score(g, p))
    assert found["jaccard"] == pytest.approx(metrics.jaccard_score(g, p))
    assert mean_iou(pred.int(), label.int(), 1) == pytest.approx(metrics.jaccard_score(g, p, average="macro"))


def test_the_thresholded_jaccard_is_zero_below_065() -> None:
    label = torch.zeros(1, 100, dtype=torch.bool)
    label[:, :65] = True
    assert image_metrics(torch.ones_like(label), label)["thresholded_jaccard"] == 0.65
    label[:, 64] = False
    assert image_metrics(torch.ones_like(label), label)["thresholded_jaccard"] == 0


def test_mean_iou_counts_the_background_and_leaves_out_classes_that_do_not_occur() -> None:
    label = torch.tensor([[0, 0, 1, 1], [0, 0, 2, 2]])
    pred = torch.tensor([[0, 0, 1, 0], [0, 0, 2, 2]])
    assert mean_iou(pred, label, 2) == pytest.approx((4 / 5 + 1 / 2 + 1) / 3)
    assert mean_iou(pred, label, 3) == mean_iou(pred, label, 2)
    assert mean_iou(torch.ones(2, 2), torch.zeros(2, 2), 1) == 0
    assert mean_iou(torch.empty(0, 2), torch.empty(0, 2), 1) == 1


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(6, 7\) and label \(7, 6\) differ"):
        confusion_counts(EMPTY, EMPTY.T)


def filled(count: int = 6) -> tuple[ImageScores, list[tuple[torch.Tensor, torch.Tensor]]]:
    scores, pairs = ImageScores(), [pair(seed, 16 + 8 * (seed % 2)) for seed in range(count)]
    for number, (pred, label) in enumerate(pairs):
        scores.add(f"case {number}", pred.int(), label.int())
    return scores, pairs


def test_per_image_is_the_mean_of_the_images_and_pooled_is_that_of_all_pixels() -> None:
    scores, pairs = filled()
    per_image, pooled = scores.per_image()["lesion"], scores.pooled()["lesion"]
    rows = [image_metrics(*masks) for masks in pairs]
    for name in IMAGE_METRICS:
        assert per_image[name]["mean"] == pytest.approx(np.mean([row[name] for row in rows]))
        assert per_image[name]["low"] <= per_image[name]["mean"] <= per_image[name]["high"]
    pred, label = (torch.cat([masks[i].flatten() for masks in pairs]) for i in (0, 1))
    together = image_metrics(pred, label)
    for name in POOLED_METRICS:
        assert pooled[name]["value"] == pytest.approx(together[name])
        assert pooled[name]["low"] < together[name] < pooled[name]["high"]
        assert pooled[name]["n"] == 6
    assert pooled["mean_iou"]["value"] == pytest.approx(mean_iou(pred.int(), label.int(), 1))
    assert per_image["mean_iou"]["mean"] == pytest.approx(np.mean([mean_iou(p.int(), g.int(), 1) for p, g in pairs]))
    assert pooled["dice"]["value"] != pytest.approx(per_image["dice"]["mean"], abs=1e-4)


def test_the_pooled_interval_is_that_of_drawing_whole_images_again() -> None:
    scores, pairs = filled()
    counts = np.stack([confusion_counts(*masks) for masks in pairs]).astype(float)
    rng = np.random.default_rng(7)
    drawn = [counts[rng.integers(0, len(counts), len(counts))].sum(0) for _ in range(4000)]
    dice = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn, _ in drawn]
    found = scores.pooled()["lesion"]["dice"]
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.quantile(dice, [0.025, 0.975])), abs=0.004)


def test_probabilities_give_the_metrics_of_pixels() -> None:
    scores = ImageScores({"cell": 1})
    probabilities, labels = [], []
    for seed in range(3):
        pred, label = pair(seed)
        probability = (
            label * 0.5 + torch.rand(label.shape, generator=torch.Generator().manual_seed(seed)) * 0.5
        ).round(decimals=3)
        scores.add(str(seed), pred.int(), label.int(), {"cell": probability})
        probabilities.append(probability.flatten())
        labels.append(label.flatten())
    pooled = scores.pooled()["cell"]
    reference, values = torch.cat(labels).numpy(), torch.cat(probabilities).double().numpy().round(3)
    assert pooled["auc"]["value"] == pytest.approx(metrics.roc_auc_score(reference, values))
    assert pooled["average_precision"]["value"] == pytest.approx(metrics.average_precision_score(reference, values))
    assert 0 < pooled["calibration_error"]["value"] < 0.5
    assert math.isnan(pooled["auc"]["low"])


def test_structures_are_judged_each_for_itself() -> None:
    scores = ImageScores({"cytoplasm": 1, "nucleus": 2})
    label = torch.tensor([[0, 0, 1, 1], [0, 0, 2, 2]])
    scores.add("a", torch.tensor([[0, 0, 1, 0], [0, 0, 2, 2]]), label)
    assert [(row["case"], row["structure"], row["dice"]) for row in scores.rows] == [
        ("a", "cytoplasm", pytest.approx(2 / 3)),
        ("a", "nucleus", 1),
    ]
    assert scores.pooled()["cytoplasm"]["jaccard"]["value"] == 0.5
    assert math.isnan(scores.pooled()["cytoplasm"]["jaccard"]["low"])
    assert math.isnan(scores.per_image()["cytoplasm"]["dice"]["low"])
    scores.clear()
    assert (scores.rows, scores.pooled()) == ([], {})


def test_pixels_that_nobody_labeled_are_left_out() -> None:
    (pred, label), scores, cut = pair(3), ImageScores(), ImageScores()
    probability = torch.rand(label.shape, generator=torch.Generator().manual_seed(0))
    masked = label.long()
    masked[:, :9] = -1
    scores.add("a", pred.long(), masked, {"lesion": probability})
    cut.add("a", pred[:, 9:].long(), label[:, 9:].long(), {"lesion": probability[:, 9:]})
    assert scores.rows == cut.rows
    assert str(scores.pooled()) == str(cut.pooled())


def test_an_image_that_nobody_labeled_is_not_scored(caplog: pytest.LogCaptureFixture) -> None:
    scores = ImageScores()
    scores.add("a", torch.ones(4, 4), torch.full((4, 4), -1))
    assert scores.rows == []
    assert "a: not scored, since nobody labeled any of its pixels" in caplog.text
