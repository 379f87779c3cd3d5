"""Training, evaluation, pooling, inference and maps of the classification of lesions, on small drawn images."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts import config as contract
from helpers.classified_cases import CLASSES, make_classification, run_classification, write_classified
from ignite.engine import Events
from PIL import Image, ImageChops, ImageOps
from sklearn.metrics import roc_auc_score

from bundle.networks import ARLNet
from bundle.networks.backbones.resnet import ResNetTrunk
from bundle.tasks.images.isic_submission import TABLES, check_confidences

TRAINING = {"batch_size": 2, "val_interval": 1, "amp": False, "warmup": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 images in two folds."""
    return write_classified(tmp_path_factory.mktemp("lesions"), 12)


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of two epochs in bfloat16."""
    folder = tmp_path_factory.mktemp("training")
    run_classification("train", dataset_dir=str(dataset), output_dir=str(folder), epochs=2, **{**TRAINING, "amp": True})
    return folder


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> str:
    return str(trained / "last.pt")


@pytest.fixture(scope="module")
def evaluated(dataset: Path, checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Evaluations of both folds."""
    folders = [tmp_path_factory.mktemp(f"fold{fold}") for fold in range(2)]
    for fold, folder in enumerate(folders):
        options = {"split": "validation", "fold": fold, "temperature": 1.0, "checkpoint": checkpoint}
        run_classification("evaluate", dataset_dir=str(dataset), output_dir=str(folder), **options)
    return folders


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.pt", weights_only=True)


def test_a_training_leaves_weights_state_summary_and_scalars(trained: Path) -> None:
    assert {"model.pt", "last.pt", "summary.json"} <= {path.name for path in trained.iterdir()}
    assert list(trained.glob("events.out.tfevents.*"))
    assert state(trained)["epoch"] == 2
    assert read(trained / "summary.json")["failures"] == []


def test_a_resumed_training_ends_bit_equal_to_an_uninterrupted_one(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "epochs": 2, "seed": 3, **TRAINING}
    run_classification("train", output_dir=str(tmp_path / "complete"), **options)

    class CrashError(Exception):
        pass

    def crash(_: Any) -> None:
        raise CrashError

    interrupted = make_classification("train", output_dir=str(tmp_path / "parts"), **options)
    interrupted.trainer.add_event_handler(Events.ITERATION_STARTED(once=5), crash)
    with pytest.raises(RuntimeError, match="Failed to evaluate"):
        interrupted.run()
    assert state(tmp_path / "parts")["epoch"] == 1
    run_classification("train", output_dir=str(tmp_path / "parts"), resume=True, **options)
    complete, parts = state(tmp_path / "complete"), state(tmp_path / "parts")
    assert complete["epoch"] == parts["epoch"] == 2
    torch.testing.assert_close(parts["network"], complete["network"], rtol=0, atol=0)
    torch.testing.assert_close(parts["optimizer"]["state"], complete["optimizer"]["state"], rtol=0, atol=0)


def test_a_training_skips_images_that_cannot_be_read(dataset: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    bad = [data / "images" / f"lesion{number}.png" for number in (2, 7)]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(bad[1].read_bytes()[:300])
    with pytest.raises(SystemExit) as end:
        run_classification("train", dataset_dir=str(data), output_dir=str(tmp_path / "out"), epochs=1, **TRAINING)
    assert end.value.code == 2
    failures = read(tmp_path / "out" / "summary.json")["failures"]
    assert {failure["case"] for failure in failures} == {"lesion2", "lesion7"}


def test_fewer_images_than_a_batch_are_trained_on(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**TRAINING, "batch_size": 16, "epochs": 1}
    run_classification("train", dataset_dir=str(dataset), output_dir=str(tmp_path), **options)
    assert state(tmp_path)["iteration"] == 1
    assert "an epoch has 6 training cases, fewer than batch_size 16: batches of 6" in caplog.text


def test_all_folds_can_be_trained_on(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "train#dataset#data#fold": "$None"}
    workflow = make_classification("train", **options)
    assert len(workflow.parser.get_parsed_content("train#dataset")) == 12


def test_sampling_and_loss_can_be_balanced(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path)}
    plain = make_classification("train", **options, sampling_balance=0, loss_balance=1.0).parser
    assert plain.get_parsed_content("loss").beta == 1
    assert len(set(plain.get_parsed_content("train#dataloader").sampler.weights.tolist())) == 1


def test_a_preview_shows_images_as_they_are_trained_on(dataset: Path, tmp_path: Path) -> None:
    workflow = make_classification("train", dataset_dir=str(dataset), output_dir=str(tmp_path), run_id="preview")
    workflow.run()
    with Image.open(tmp_path / "preview.png") as sheet:
        assert sheet.size[0] == 4 * 160 + 3 * 4
        assert np.asarray(sheet.convert("L")).std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]


def test_weights_of_torchvision_go_into_the_trunk(dataset: Path, tmp_path: Path) -> None:
    source = ResNetTrunk(2, 3, depth=18, width=0.0625)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "pretrained": str(tmp_path / "resnet18.pth")}
    shape = {"trunk": "null", "network_def#depth": 18, "network_def#width": 0.0625}
    network = make_classification("train", **options, **shape).parser.get_parsed_content("network")
    assert isinstance(network, ARLNet)
    torch.testing.assert_close(network.trunk.conv1.weight, source.conv1.weight)
    torch.testing.assert_close(network.trunk.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


def test_an_evaluation_writes_scores_statistics_and_curves(dataset: Path, evaluated: list[Path]) -> None:
    assert {"metrics.csv", "metrics.json", "curves.json", "curves.png"} <= {
        path.name for path in evaluated[0].iterdir()
    }
    content = read(evaluated[0] / "metrics.json")
    held_out = {Path(item["image"]).stem for item in read(dataset / "dataset.json")["training"] if item["fold"] == 0}
    assert {row["case"] for row in content["cases"]} == held_out
    for place, name in enumerate(CLASSES):
        found = [row for row in content["cases"] if row["class"] == name]
        assert [row["label"] for row in found] == [int(int(row["case"][6:]) % 3 == place) for row in found]
        area = roc_auc_score([row["label"] for row in found], [row["probability"] for row in found])
        assert content["summary"][name]["auc"]["value"] == pytest.approx(area)


def test_folds_are_pooled_and_calibrated(evaluated: list[Path], tmp_path: Path) -> None:
    options = {"runs": [str(folder) for folder in evaluated], "calibrate": True, "run_id": "pool"}
    make_classification("evaluate", output_dir=str(tmp_path), **options).run()
    content = read(tmp_path / "metrics.json")
    assert len(content["cases"]) == 2 * 12
    assert all(content["summary"][name]["auc"]["n"] == 12 for name in CLASSES)
    assert all(content["calibration"][name]["temperature"] > 0 for name in CLASSES)
    assert (tmp_path / "curves.png").is_file()


def test_the_temperature_changes_probabilities_as_it_should(
    dataset: Path, evaluated: list[Path], checkpoint: str, tmp_path: Path
) -> None:
    options = {"dataset_dir": str(dataset), "split": "validation", "checkpoint": checkpoint}
    run_classification("evaluate", output_dir=str(tmp_path), temperature=[2.0, 1.0], **options)
    raw, warmer = (read(folder / "metrics.json")["cases"] for folder in (evaluated[0], tmp_path))
    for before, after in zip(raw, warmer, strict=True):
        logit = np.log(before["probability"] / (1 - before["probability"]))
        expected = 1 / (1 + np.exp(-logit / (2 if before["class"] == CLASSES[0] else 1)))
        assert after["probability"] == pytest.approx(expected, abs=1e-4)


def test_seven_exclusive_classes_are_trained_and_evaluated_as_in_isic_2018(tmp_path: Path) -> None:
    names = TABLES["isic2018_task3"][1:]
    folder = write_classified(tmp_path / "data", 6, classes=names)
    content = read(folder / "dataset.json")
    assert all(sum(item["classes"].values()) == 1 for item in content["training"])
    options = {"dataset_dir": str(folder), "class_names": list(names)}
    run_classification("train", output_dir=str(tmp_path / "run"), epochs=1, **options, **TRAINING)
    further = {"thresholds": 0.5, "temperature": 1.0, "checkpoint": str(tmp_path / "run" / "last.pt")}
    output = tmp_path / "eval"
    run_classification("evaluate", output_dir=str(output), split="all", exclusive=True, **options, **further)
    found = read(output / "metrics.json")
    assert 0 <= found["balanced_accuracy"]["value"] <= 1
    options = {"input": str(folder / "images"), "class_names": list(names), "challenge": "isic2018_task3", **further}
    run_classification("inference", output_dir=str(tmp_path / "out"), **options)
    ids = [f"lesion{number}" for number in range(6)]
    assert check_confidences(tmp_path / "out" / "submission.csv", ids, challenge="isic2018_task3") == []


def test_an_inference_writes_predictions_and_a_submission(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        shutil.copy(dataset / "images" / f"lesion{number}.png", source / f"ISIC_000000{number}.png")
    (source / "ISIC_0000009.png").write_bytes(b"nothing")
    options = {"input": str(source), "checkpoint": checkpoint, "challenge": "isic2017_part3"}
    options["thresholds"] = {CLASSES[0]: 0.0, CLASSES[1]: 0.999}
    with pytest.raises(SystemExit) as end:
        run_classification("inference", output_dir=str(tmp_path / "out"), **options)
    assert end.value.code == 2
    names = [f"ISIC_000000{number}" for number in range(3)]
    predicted = rows(tmp_path / "out" / "predictions.csv")
    assert [row["case"] for row in predicted] == names
    assert {(row["melanoma_positive"], row["seborrheic_keratosis_positive"]) for row in predicted} == {("1", "0")}
    assert check_confidences(tmp_path / "out" / "submission.csv", names) == []
    record = read(tmp_path / "out" / "ISIC_0000001.json")
    assert record["classes"]["melanoma"]["probability"] == pytest.approx(float(predicted[1]["melanoma"]))
    assert record["checkpoint"]["path"] == checkpoint


def test_the_scores_of_an_inference_are_those_of_the_evaluation(
    dataset: Path, evaluated: list[Path], checkpoint: str, tmp_path: Path
) -> None:
    options = {"input": str(dataset / "images"), "checkpoint": checkpoint, "temperature": 1.0}
    run_classification("inference", output_dir=str(tmp_path), **options)
    judged = {row["case"]: float(row["probability"]) for row in rows(evaluated[0] / "metrics.csv")[::2]}
    predicted = {row["case"]: float(row["melanoma"]) for row in rows(tmp_path / "predictions.csv")}
    assert len(predicted) == 12
    assert {case: predicted[case] for case in judged} == pytest.approx(judged, abs=1e-5)


def test_maps_of_the_classes_are_drawn_on_the_image(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    options = {"input": str(dataset / "images" / "lesion0.png"), "checkpoint": checkpoint, "run_id": "cam"}
    make_classification("explain", output_dir=str(tmp_path), cam_class="melanoma", **options).run()
    assert {path.name for path in tmp_path.iterdir()} == {
        "lesion0_cam.json",
        "lesion0_cam_melanoma.jpg",
        "lesion0_cam_melanoma.png",
        "summary.json",
    }
    with Image.open(tmp_path / "lesion0_cam_melanoma.jpg") as figure:
        assert figure.size == (64, 48)


def test_a_border_around_an_image_does_not_change_its_classes(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with Image.open(dataset / "images" / "lesion0.png") as image:
        image.save(tmp_path / "in" / "plain.png")
        ImageOps.expand(image.convert("RGB"), 12).save(tmp_path / "in" / "framed.png")
    options = {"input": str(tmp_path / "in"), "checkpoint": checkpoint}
    run_classification("inference", output_dir=str(tmp_path / "out"), **options)
    framed, plain = rows(tmp_path / "out" / "predictions.csv")
    assert framed["melanoma"] == plain["melanoma"]
    assert "constant border" in read(tmp_path / "out" / "framed.json")["remarks"][0]
    options |= {"cam_class": "melanoma", "run_id": "cam"}
    make_classification("explain", output_dir=str(tmp_path / "cam"), **options).run()
    maps = {name: Image.open(tmp_path / "cam" / f"{name}_cam_melanoma.png") for name in ("plain", "framed")}
    assert ImageChops.difference(ImageOps.expand(maps["plain"], 12), maps["framed"]).getextrema() == (0, 0)


def test_thresholds_and_temperature_are_those_of_the_metadata() -> None:
    chosen = contract.read("lesion_classification/metadata.json")["operating_point"]
    for workflow in ("evaluate", "inference"):
        config = contract.read(f"lesion_classification/{workflow}.json")
        assert {name: config[name] for name in ("thresholds", "temperature")} == {
            name: chosen[name] for name in ("thresholds", "temperature")
        }
        assert list(config["thresholds"]) == config["class_names"]
        assert len(config["temperature"]) == len(config["class_names"])


def test_an_image_is_cut_and_evaluated_in_a_validation_as_in_an_inference() -> None:
    train, inference = (contract.read(f"lesion_classification/{workflow}.json") for workflow in ("train", "inference"))
    crops = inference["inferer"]["inferer"]["inferer"]
    assert train["validate"]["inferer"]["inferer"] == crops
    crop = next(step for step in train["train"]["random_transforms"] if step["_target_"].endswith("RandScaleCropd"))
    assert (crop["spatial_size"], crop["scales"]) == (crops["spatial_size"], crops["scales"])
    assert train["train"]["random_transforms"][-1] == inference["preprocessing"]["transforms"][-1]


def test_the_committed_split_is_that_of_the_challenge() -> None:
    """Of 2000 images, 374 are melanomas and 254 keratoses; of 150, 30 and 42 (Codella et al., arXiv:1710.05006)."""
    split = read(contract.CONFIGS / "datasets" / "isic2017_classes_split.json")
    parts = [[item for item in split["training"] if item["fold"] == fold] for fold in (1, 0)]
    assert [len(part) for part in parts] == [2000, 150]
    assert not split["test"]
    found = [[sum(item["classes"][name] for item in part) for name in CLASSES] for part in parts]
    assert found == [[374, 254], [30, 42]]
