"""Every dataset by its overlay: prepared, checked, trained, evaluated and segmented, on phantoms and real cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from contracts import config as contract
from helpers.options import known_options
from helpers.workflows import run_workflow
from monai.bundle.config_parser import ConfigParser

from bundle.cli.main import main
from bundle.phantoms.volumes.volume_phantoms import write_volume_phantoms

NEVER_PUBLISHED = ("bids", "folder", "msd")
"""Datasets that the original project does not know."""

SMALL = {"plan": "fp32", "device": "cpu"}


def run_known(files: list[str], **options: Any) -> Any:
    """Run a workflow with those of the options that it has."""
    known = [known_options(contract.CONFIGS / file, options) for file in files]
    return run_workflow(files, **{name: value for each in known for name, value in each.items()})


def phantom_of(overlay: str) -> str:
    return overlay.removesuffix("_regions")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """Return what makes the phantom of an overlay, prepared, and gives its options; each phantom is made once."""
    made: dict[str, dict[str, str]] = {}

    def make(overlay: str) -> dict[str, str]:
        name = phantom_of(overlay)
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            write_volume_phantoms(name, folder, count=4, size=24)
            datalist = folder / ("datalist.json" if name in ("msd", "folder") else "dataset.json")
            output = ["--output", str(datalist)]
            if name == "folder":
                table = folder / "table.json"
                table.write_text(json.dumps({"liver": [1], "spleen": [2]}))
                output += ["--labels", str(table)]
            assert main(["prepare", name, str(folder), "--folds", "2", "--test_share", "0.25", *output]) == 0
            made[name] = {"dataset_dir": str(folder), "datalist": str(datalist)}
        return made[name]

    return make


def run_all(
    overlays: str | tuple[str, ...],
    output: Path,
    *,
    segmented: str,
    training: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train for an epoch, evaluate the test cases and segment an input; return the metrics."""
    names = (overlays,) if isinstance(overlays, str) else overlays
    files = [[f"{workflow}.json", *(f"datasets/{name}.json" for name in names)] for workflow in contract.WORKFLOWS]
    options = {**SMALL, **options}
    run_known(files[0], output_dir=str(output / "train"), epochs=1, **options, **(training or {}))
    options["checkpoint"] = str(output / "train" / "model.pt")
    run_known(files[1], output_dir=str(output / "metrics"), **{"split": "test", **options})
    run_known(files[2], output_dir=str(output / "labels"), input=segmented, **options)
    return json.loads((output / "metrics" / "metrics.json").read_text())


def structures(overlay: str, options: dict[str, str]) -> dict[str, Any]:
    """Return the structures that an evaluation reports."""
    parser = ConfigParser()
    parser.read_config([str(contract.CONFIGS / name) for name in ("evaluate.json", f"datasets/{overlay}.json")])
    parser.update(options)
    return parser.get_parsed_content("structures")


@pytest.mark.parametrize("overlay", contract.DATASET_OVERLAYS)
def test_every_dataset_goes_through_all_workflows(
    overlay: str, dataset: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    options = dataset(overlay)
    metrics = run_all(overlay, tmp_path, segmented=options["datalist"], **options)
    assert list(metrics["summary"]) == list(structures(overlay, options))
    assert len(metrics["cases"]) == len(metrics["summary"])
    for path in (tmp_path / "labels").glob("*_seg.nii.gz"):
        record = json.loads(path.with_name(path.name.replace("_seg.nii.gz", ".json")).read_text())
        assert set(np.unique(nib.load(path).dataobj).tolist()) <= set(range(len(record["labels"]) + 1))
    summary = json.loads((tmp_path / "labels" / "summary.json").read_text())
    assert summary["failures"] == []
    assert summary["cases"]


@pytest.mark.parametrize("name", sorted({phantom_of(overlay) for overlay in contract.DATASET_OVERLAYS}))
def test_check_finds_no_fault_in_a_phantom(name: str, dataset: Callable[[str], dict[str, str]]) -> None:
    options = dataset(name)
    assert main(["check", options["dataset_dir"], "--datalist", options["datalist"], "--workers", "1"]) == 0


@pytest.mark.parametrize("overlay", [name for name in contract.DATASET_OVERLAYS if name not in NEVER_PUBLISHED])
def test_the_published_protocol_trains_on_all_and_watches_the_test_set(overlay: str, tmp_path: Path) -> None:
    folder, name = tmp_path / "data", phantom_of(overlay)
    write_volume_phantoms(name, folder, layout="original", count=3, size=24)
    assert main(["prepare", name, str(folder), "--folds", "2"]) == 0
    files = ["train.json", *(f"datasets/{name}.json" for name in published(overlay))]
    workflow = run_known(files, dataset_dir=str(folder), output_dir=str(tmp_path / "out"), epochs=1)
    assert len(workflow.train_dataset) == 2
    assert len(workflow.val_dataset) == 1
    assert [case["label"] for case in workflow.val_dataset.data] != [
        case["label"] for case in workflow.train_dataset.data
    ]


def test_regions_are_learned_evaluated_and_segmented_as_the_same_structures(
    dataset: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    """A few epochs without augmentation find the tumor, in the metric of the training and in the label maps alike."""
    options = {**dataset("brats2018_regions"), "roi_size": [24, 24, 24], "network_def#channels": [8, 16], "amp": False}
    workflow = run_known(
        ["train.json", "datasets/brats2018_regions.json"],
        output_dir=str(tmp_path),
        **{"epochs": 70, "val_interval": 70, "learning_rate": 0.02, "augmentation": [], **options},
    )
    options |= {"split": "validation", "checkpoint": str(tmp_path / "model.pt"), "output_dir": str(tmp_path / "out")}
    run_known(["evaluate.json", "datasets/brats2018_regions.json"], **options)
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())["summary"]
    assert summary["whole_tumor"]["dice"]["mean"] > 0.5
    mean = np.mean([metrics["dice"]["mean"] for metrics in summary.values()])
    assert workflow.evaluator.state.best_metric == pytest.approx(mean, abs=0.1)


def published(overlay: str) -> tuple[str, str]:
    """Return the overlays of a dataset with the settings of the original project."""
    return overlay, f"{phantom_of(overlay)}_published"


def settings(*overlays: str) -> ConfigParser:
    parser = ConfigParser()
    names = ("train.json", *(f"datasets/{overlay}.json" for overlay in overlays))
    parser.read_config([str(contract.CONFIGS / name) for name in names])
    return parser


def test_the_published_settings_are_those_of_the_original() -> None:
    """Crop sizes, losses and epochs as its code and its command line have them; D, H, W there is z, y, x here."""
    sizes = {"brats2018": [224, 224, 144], "malc": [144, 176, 144], "hvsmr": [128, 144, 192]}
    for name, size in sizes.items():
        parser = settings(*published(name))
        assert parser.get_parsed_content("roi_size") == size
        assert parser.get_parsed_content("epochs") == 80
        assert parser.get_parsed_content("batch_size") == 1
        assert parser.get_parsed_content("learning_rate") == 0.002
        assert parser.get_parsed_content("loss_name") == ("dice" if name == "brats2018" else "dice_ce")
        flips = [step for step in parser.get_parsed_content("augmentation") if type(step).__name__ == "RandFlipd"]
        assert len(flips) == (0 if name == "malc" else 2)


def test_an_overlay_chooses_the_protocol_and_any_setting_can_still_be_changed() -> None:
    assert settings("hvsmr").get_parsed_content("validation_split") == "validation"
    parser = settings(*published("hvsmr"))
    assert parser.get_parsed_content("validation_split") == "test"
    parser["validation_split"] = "validation"
    assert parser.get_parsed_content("validation_split") == "validation"
    assert parser.get_parsed_content("epochs") == 80


def test_all_published_protocols_change_the_same_settings() -> None:
    contents = [contract.read(f"datasets/{name}_published.json") for name in ("brats2018", "hvsmr", "malc")]
    assert all(content.keys() == contents[0].keys() for content in contents)
    assert contents[0].keys() <= {**contract.read("train.json"), **contract.read("evaluate.json")}.keys()


@pytest.mark.parametrize("network", ["vnet", "unet_deep", "voxresnet"])
def test_an_overlay_of_a_network_goes_before_that_of_a_dataset(network: str) -> None:
    parser = ConfigParser()
    names = ("train.json", f"networks/{network}.json", "datasets/brats2018_regions.json")
    parser.read_config([str(contract.CONFIGS / name) for name in names])
    assert parser.get_parsed_content("network_def#in_channels") == 4
    assert parser.get_parsed_content("network_def#out_channels") == 3


@pytest.mark.parametrize("name", ["dice", "focal", "dice_focal", "dice_weighted_ce"])
def test_every_loss_trains_with_deep_supervision(
    name: str, dataset: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    weights = {"class_weights": "epoch"} if "weighted" in name else {}
    options = {**dataset("brats2018"), "loss_name": name, "deep_supervision": True, **weights}
    for overlay in ("brats2018", "brats2018_regions"):
        folders = {"output_dir": str(tmp_path), "overwrite": True}
        workflow = run_known(["train.json", f"datasets/{overlay}.json"], epochs=1, **folders, **options)
        assert np.isfinite(workflow.trainer.state.output[0]["loss"])


REAL: dict[str, Any] = {
    **{"pixdim": [4.0, 4.0, 4.0], "roi_size": [16, 16, 16], "split": "all", "validation_split": "all"},
    "training": {"train#dataset#data#split": "all", "val_interval": 2},
}
"""Options under which the one case that there is goes through all workflows in seconds."""


def halve(file: Path, target: Path) -> Path:
    """Write every second voxel along every axis of a volume, so that a test takes seconds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.load(file).slicer[::2, ::2, ::2], target)
    return target


def assert_segmented(output: Path, image: Path) -> None:
    """Check that there is one label map, on the grid of the image."""
    (found,) = (output / "labels").glob("*_seg.nii.gz")
    assert nib.load(found).shape == nib.load(image).shape
    np.testing.assert_allclose(nib.load(found).affine, nib.load(image).affine, atol=1e-4)


@pytest.mark.real_data
@pytest.mark.parametrize("overlay", ["brats2018", "brats2018_regions"])
def test_a_glioma_goes_through_the_overlays_of_brats(overlay: str, shared_data: Path, tmp_path: Path) -> None:
    data, modalities = tmp_path / "data", ["flair", "t1", "t1c", "t2"]
    for file in (shared_data / "volumes" / "glioma_4mod" / "TCGA-FG-6692").iterdir():
        halve(file, data / "TCGA-FG-6692" / file.name)
    names = ["--modalities", *modalities, "--label", "seg_fused"]
    assert main(["prepare", "brats2018", str(data), "--test_share", "1", *names]) == 0
    options = {"dataset_dir": str(data), "modalities": modalities, **REAL}
    metrics = run_all(overlay, tmp_path, segmented=str(data), **options)
    assert list(metrics["summary"])[-1] == ("tumor_core" if overlay == "brats2018" else "enhancing_tumor")
    assert_segmented(tmp_path, data / "TCGA-FG-6692" / "flair.nii.gz")


@pytest.mark.real_data
def test_a_spleen_goes_through_the_overlay_of_the_decathlon(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "volumes" / "spleen_ct"
    image = halve(folder / "spleen_2_ct.nii.gz", tmp_path / "data" / "imagesTr" / "spleen_2.nii.gz")
    halve(folder / "spleen_2_seg.nii.gz", tmp_path / "data" / "labelsTr" / "spleen_2.nii.gz")
    item = {"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/spleen_2.nii.gz"}
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen"}, "training": [item], "test": []}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(content))
    options = {"dataset_dir": str(tmp_path / "data"), **REAL, "spacing_range": [0.2, 10.0]}
    metrics = run_all(("msd", "ct"), tmp_path, segmented=str(image), **options)
    assert list(metrics["summary"]) == ["spleen"]
    assert_segmented(tmp_path, image)


@pytest.mark.real_data
def test_a_brain_goes_through_the_overlay_of_malc_with_its_label_table(shared_data: Path, tmp_path: Path) -> None:
    folder, data = shared_data / "volumes" / "brain_t1_dense", tmp_path / "data"
    image = halve(folder / "test_scan_image.nii.gz", data / "training-images" / "1000_3.nii.gz")
    halve(folder / "test_scan_seg.nii.gz", data / "training-labels" / "1000_3_glm.nii.gz")
    assert main(["prepare", "malc", str(data), "--labels", "freesurfer", "--test_share", "1"]) == 0
    metrics = run_all("malc", tmp_path, segmented=str(image), dataset_dir=str(data), **REAL)
    assert len(metrics["summary"]) == 10
    assert "hippocampus" in metrics["summary"]
    assert_segmented(tmp_path, image)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "overlays", "count"), [("ct", ("folder", "ct"), 41), ("mr", ("folder",), 23)])
def test_many_organs_go_through_the_overlay_of_folders(
    name: str, overlays: tuple[str, ...], count: int, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "volumes" / "multi_organ"
    image, label = (folder / f"{name}_sm{ending}.nii.gz" for ending in ("", "_seg"))
    values = [int(value) for value in np.unique(nib.load(label).dataobj) if value]
    assert len(values) == count
    table = {f"organ {value}": [value] for value in values}
    content = {
        "modality": {"0": name.upper()},
        "labels": {"0": "background", **{str(place): organ for place, organ in enumerate(table, start=1)}},
        "label_values": table,
        "training": [{"image": str(image), "label": str(label)}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    options = {"dataset_dir": str(tmp_path), **REAL}
    metrics = run_all(overlays, tmp_path, segmented=str(image), **options)
    assert list(metrics["summary"]) == list(table)
    assert_segmented(tmp_path, image)


def test_ignore_of_nnunet_is_left_out_of_training_and_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for case in range(4):
        label = np.zeros((24, 24, 24), np.uint8)
        label[6:12, 8:16, 8:16], label[12:18] = 1, 2
        image = rng.normal(0, 1, label.shape) + 4 * (label == 1)
        for folder, values in ((f"imagesTr/c{case}_0000", image.astype(np.float32)), (f"labelsTr/c{case}", label)):
            (tmp_path / folder).parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / f"{folder}.nii.gz")
    labels = {"background": 0, "organ": 1, "ignore": 2}
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 4, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    datalist = tmp_path / "datalist.json"
    split = ["--folds", "2", "--test_share", "0.25", "--output", str(datalist)]
    assert main(["prepare", "msd", str(tmp_path), *split]) == 0
    options = {"dataset_dir": str(tmp_path), "datalist": str(datalist), "roi_size": [24, 24, 24]}
    options |= {"pixdim": [1.0, 1.0, 1.0], "network_def#channels": [4, 8]}
    image = str(tmp_path / "imagesTr" / "c0_0000.nii.gz")
    metrics = run_all("msd", tmp_path / "out", segmented=image, **options)
    assert {row["structure"] for row in metrics["cases"]} == {"organ"}
    written = nib.load(tmp_path / "out" / "labels" / "c0_0000_seg.nii.gz")
    assert set(np.unique(np.asarray(written.dataobj))) <= {0, 1}
