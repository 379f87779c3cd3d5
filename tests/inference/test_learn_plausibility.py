"""What results are plausible is learned from output folders of an inference of the training cases."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.inference import CaseRecord, Plausibility
from bundle.inference.learn_plausibility import learn_plausibility
from bundle.inference.plausibility import CROP, IMAGE, REGION, learn_distribution, read_reference
from bundle.utils.errors import FileError


def features(count: int, seed: int = 0) -> list[dict[str, float]]:
    values = np.random.default_rng(seed).normal(size=(count, 2))
    return [{"volume_mm3": 3000 + 300 * float(one), "center_mm": 5 + float(other)} for one, other in values]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


def write(folder: Path, name: str, content: Any, weights: bytes | None = b"weights") -> None:
    """Write the JSON of a case as an inference does."""
    folder.mkdir(exist_ok=True)
    digest = None if weights is None else {"path": "model.pt", "sha256": hashlib.sha256(weights).hexdigest()}
    (folder / f"{name}.json").write_text(json.dumps({"case": name, "checkpoint": digest, **content}))


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """The folder of an inference of five crops."""
    folder = tmp_path / "crops"
    for number, measured in enumerate(features(5)):
        write(folder, f"crop{number}", {"plausibility": {"distance": None, "features": measured}})
    (folder / "summary.json").write_text(json.dumps({"cases": [], "failures": []}))
    write(folder, "refused", {"error": "ImplausibleResultError", "plausibility": {"features": {"volume_mm3": 9.0}}})
    return folder


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """The folder of an inference of three heads, in one of which a region is missing."""
    folder = tmp_path / "heads"
    found = [{"name": "left", "found": True, "features": measured} for measured in features(5, seed=1)]
    for number, regions in enumerate([found[:2], found[2:4], [found[4], {"name": "right", "found": False}]]):
        write(folder, f"head{number}", {"regions": regions})
    return folder


def test_crops_alone_give_the_distribution_of_crops(crops: Path, checkpoint: Path) -> None:
    path = learn_plausibility([crops], checkpoint)
    assert path == checkpoint.with_name("model_plausibility.json")
    assert read_reference(checkpoint).distributions == {CROP: learn_distribution(features(5))}


def test_features_of_color_images_are_of_a_kind_of_their_own(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "images"
    measured = [{"channel_0": one, "channel_1": one * one} for one in (0.0, 1.0, 2.0, 3.0)]
    for number, each in enumerate(measured):
        write(folder, f"image{number}", {"plausibility": {"kind": IMAGE, "features": each}})
    learn_plausibility([folder], checkpoint)
    assert read_reference(checkpoint).distributions == {IMAGE: learn_distribution(measured)}
    assert Plausibility(checkpoint).judge(IMAGE, {"channel_0": 99.0, "channel_1": 0.0})[1] is not None


def test_regions_are_compared_with_regions_and_crops(
    crops: Path, heads: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        learn_plausibility([heads, crops], checkpoint)
    found = read_reference(checkpoint).distributions
    assert found[CROP] == learn_distribution(features(5))
    assert found[REGION] == learn_distribution([*features(5), *features(5, seed=1)])
    assert "features learned from 5 crops, 5 regions and 0 images" in caplog.text
    distances = sorted(found[REGION].distance(each) for each in features(5, seed=1))
    assert f"distances of the regions: median {distances[2]:.1f}, greatest {distances[4]:.1f}" in caplog.text


def test_heads_alone_give_the_distribution_of_regions(heads: Path, checkpoint: Path) -> None:
    learn_plausibility([heads], checkpoint)
    assert read_reference(checkpoint).distributions == {REGION: learn_distribution(features(5, seed=1))}


@pytest.mark.parametrize("weights", [b"others", None])
def test_results_of_other_weights_are_refused(weights: bytes | None, crops: Path, checkpoint: Path) -> None:
    write(crops, "zebra", {"plausibility": {"features": features(1)[0]}}, weights)
    with pytest.raises(FileError, match=r"zebra\.json: is a result of other weights; run the inference"):
        learn_plausibility([crops], checkpoint)
    assert read_reference(checkpoint).distributions == {}


def test_a_folder_without_features_is_refused(crops: Path, checkpoint: Path, tmp_path: Path) -> None:
    write(tmp_path / "plain", "a", {"labels": {}})
    with pytest.raises(FileError, match="plain: has no results with features or numbers; run "):
        learn_plausibility([crops, tmp_path / "plain"], checkpoint)


def test_too_few_results_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    write(tmp_path / "two", "a", {"plausibility": {"features": features(2)[0]}})
    write(tmp_path / "two", "b", {"plausibility": {"features": features(2)[1]}})
    with pytest.raises(FileError, match="two: at least 3 results with labeled voxels are needed, got 2; add results"):
        learn_plausibility([tmp_path / "two"], checkpoint)


def test_missing_weights_are_refused(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.pt: does not exist; name the file of weights"):
        learn_plausibility([crops], tmp_path / "none.pt")


class TestNumbers:
    @pytest.fixture
    def evaluation(self, tmp_path: Path) -> Path:
        """The folder of an evaluation of twelve cases, whose Dice follows from the margin."""
        folder, rows = tmp_path / "evaluation", ["case,structure,dice,rvd"]
        for number in range(12):
            margin = 0.8 + 0.01 * number
            write(folder, f"case{number}", {"labels": {"part": {"volume_mm3": 100.0, "margin": margin}}})
            rows.append(f"case{number},part,{margin - 0.02},0.1")
        write(folder, "empty", {"labels": {"part": {"volume_mm3": 0.0}}})
        rows += ["empty,part,nan,nan", "unknown,part,0.5,0.1"]
        (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
        return folder

    def test_ranges_and_the_estimate_of_the_dice_are_learned(
        self, evaluation: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            learn_plausibility([evaluation], checkpoint)
        known = Plausibility(checkpoint)
        assert known.distributions == {}
        assert known.ranges["part"]["margin"].median == pytest.approx(0.855)
        assert known.quality["part"].predict({"margin": 0.84}) == pytest.approx(0.82, abs=5e-3)
        assert "Dice of part from 12 cases, leave-one-out: rank correlation 1.00" in caplog.text

    def test_the_estimate_is_learned_from_cases_out_of_fold_alone(
        self, evaluation: Path, checkpoint: Path, tmp_path: Path
    ) -> None:
        fold, rows = tmp_path / "fold", ["case,structure,dice"]
        for number in range(11):
            margin = 0.8 + 0.01 * number
            write(fold, f"unseen{number}", {"labels": {"part": {"margin": margin}}}, b"weights of the fold")
            rows.append(f"unseen{number},part,{margin - 0.3}")
        (fold / "metrics.csv").write_text("\n".join(rows) + "\n")
        learn_plausibility([evaluation], checkpoint, out_of_fold=[fold])
        known = Plausibility(checkpoint)
        assert known.ranges["part"]["margin"].median == pytest.approx(0.855)
        assert known.quality["part"].cases == 11
        assert known.quality["part"].predict({"margin": 0.84}) == pytest.approx(0.54, abs=5e-3)

    def test_a_result_is_flagged_by_its_numbers(self, evaluation: Path, checkpoint: Path) -> None:
        learn_plausibility([evaluation], checkpoint)
        result = {"labels": {"left_part": {"volume_mm3": 100.0, "margin": 0.3}}, "volumes_mm3": {"left": {}}}
        judged = Plausibility(checkpoint).judge_numbers(result)
        assert judged["flags"] == ["left_part: margin 0.3 is low (0.855 in training, z = -18.4)"]
        assert judged["z_scores"] == {"left_part": {"volume_mm3": 0.0, "margin": -18.44}}
        assert 0 <= judged["predicted_dice"]["left_part"] < 0.5
        assert Plausibility(checkpoint, flag_limit=20).judge_numbers(result)["flags"] == []
        assert Plausibility(checkpoint, flag_limit="null").judge_numbers(result)["flags"] == []
        other = {"labels": {"other": {"margin": 0.3}}}
        assert Plausibility(checkpoint).judge_numbers(other) == {"z_scores": {"other": {}}, "flags": []}

    def test_a_completed_record_is_judged(self, evaluation: Path, checkpoint: Path) -> None:
        learn_plausibility([evaluation], checkpoint)
        record = CaseRecord("a", plausibility=Plausibility(checkpoint))
        record.complete({"labels": {"part": {"volume_mm3": 100.0, "margin": 0.3}}})
        assert len(record.to_json()["flags"]) == 1
        unknown = CaseRecord("a", plausibility=Plausibility(None))
        unknown.complete({"labels": {"part": {"volume_mm3": 100.0, "margin": 0.3}}})
        assert "flags" not in unknown.to_json()

    def test_tables_without_a_dice_are_skipped(self, evaluation: Path, checkpoint: Path) -> None:
        (evaluation / "metrics.csv").write_text("case,class,auc\ncase0,a,0.9\n")
        learn_plausibility([evaluation], checkpoint)
        assert Plausibility(checkpoint).quality == {}

    def test_a_result_is_too_few(self, evaluation: Path, checkpoint: Path) -> None:
        for number in range(2, 12):
            (evaluation / f"case{number}.json").unlink()
        (evaluation / "empty.json").unlink()
        with pytest.raises(FileError, match="at least 3 results are needed, got 2; add results of more cases"):
            learn_plausibility([evaluation], checkpoint)
