"""Training, evaluation and inference of disc labeling on small phantoms."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.disc_cases import SMALL, make_disc_workflow, run_disc_workflow, write_spines
from helpers.options import known_options
from helpers.phantoms import noise, write_nifti
from helpers.warm_python import warm_command_line
from ignite.engine import Events
from PIL import Image

from bundle import ROOT
from bundle.tasks.spine.discs import SkeletonPrior, read_discs

TRAINING = {"samples_per_epoch": 4, "batch_size": 2, "val_interval": 1, "amp": False, "gif_cases": 0}
EAGER = {"postprocessing#transforms#0#peaks": {"threshold": 1e-6}}
"""Take the answers of a network that has hardly learnt anything for discs, so that there is something to write."""
ENDINGS = ("_label-discs_dlabel.nii.gz", "_label-discs_dlabel.json", ".csv", ".mrk.json", ".json")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spines(tmp_path_factory.mktemp("spines"), 5)


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of two epochs with figures."""
    folder = tmp_path_factory.mktemp("training")
    options = {**TRAINING, "gif_cases": 1}
    run_disc_workflow("train", dataset_dir=str(dataset), output_dir=str(folder), epochs=2, **options)
    return folder


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> str:
    return str(trained / "model.pt")


def label(source: Path, output: Path, checkpoint: str, **options: Any) -> None:
    """Run an inference that takes every answer for a disc."""
    options = {"figure": False, **EAGER, **options}
    run_disc_workflow("inference", input=str(source), output_dir=str(output), checkpoint=checkpoint, **options)


def failures(folder: Path) -> dict[str, str]:
    """Return the types of the errors by case."""
    content = json.loads((folder / "summary.json").read_text())
    return {failure["case"]: failure["error"] for failure in content["failures"]}


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.pt", weights_only=True)


def test_a_training_leaves_weights_state_summary_scalars_and_an_animation(trained: Path) -> None:
    assert {"model.pt", "last.pt", "summary.json", "progress.gif"} <= {path.name for path in trained.iterdir()}
    assert list(trained.glob("events.out.tfevents.*"))
    assert failures(trained) == {}
    assert state(trained)["epoch"] == 2
    with Image.open(trained / "progress.gif") as gif:
        assert gif.n_frames == 2


def test_a_resumed_training_ends_bit_equal_to_an_uninterrupted_one(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "phantom_dir": str(dataset), "epochs": 2, "seed": 3, **TRAINING}
    run_disc_workflow("train", output_dir=str(tmp_path / "complete"), **options)

    class CrashError(Exception):
        pass

    def crash(_: Any) -> None:
        raise CrashError

    interrupted = make_disc_workflow("train", output_dir=str(tmp_path / "parts"), **options)
    interrupted.trainer.add_event_handler(Events.ITERATION_STARTED(once=4), crash)
    with pytest.raises(RuntimeError, match="Failed to evaluate"):
        interrupted.run()
    assert state(tmp_path / "parts")["epoch"] == 1
    run_disc_workflow("train", output_dir=str(tmp_path / "parts"), resume=True, **options)
    complete, parts = state(tmp_path / "complete"), state(tmp_path / "parts")
    assert complete["epoch"] == parts["epoch"] == 2
    torch.testing.assert_close(parts["network"], complete["network"], rtol=0, atol=0)
    torch.testing.assert_close(parts["optimizer"]["state"], complete["optimizer"]["state"], rtol=0, atol=0)


def test_the_size_of_the_training_images_is_an_option(dataset: Path, tmp_path: Path) -> None:
    workflow = make_disc_workflow("train", dataset_dir=str(dataset), output_dir=str(tmp_path), roi_size=[64, 128])
    workflow.parser.parse()
    slab = workflow.parser.get_parsed_content("train#preprocessing")(
        {"image": str(dataset / "images/phantom00000.nii.gz"), "label": str(dataset / "labels/phantom00000_discs.json")}
    )
    assert slab["image"].shape == (1, 64, 128)


def test_a_training_leaves_out_bad_images_and_bad_points(dataset: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    write_nifti(data / "images" / "phantom00003.nii.gz", np.full((7, 32, 48), np.nan, np.float32))
    (data / "labels" / "phantom00004_discs.json").write_text('{"discs": [{"value": 77, "position": [0, 0, 0]}]}')
    with pytest.raises(SystemExit) as end:
        run_disc_workflow("train", dataset_dir=str(data), output_dir=str(tmp_path / "out"), epochs=1, **TRAINING)
    assert end.value.code == 2
    assert failures(tmp_path / "out") == {"phantom00003": "NonFiniteVoxelsError", "phantom00004": "DiscFileError"}
    assert (tmp_path / "out" / "model.pt").is_file()


def test_an_evaluation_writes_metrics_of_cases_and_levels(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "checkpoint": checkpoint}
    workflow = run_disc_workflow("evaluate", **options)
    content = json.loads((tmp_path / "metrics.json").read_text())
    names = [f"phantom{number:05d}" for number in range(5)]
    known = {name: [disc.value for disc in read_discs(dataset / "labels" / f"{name}_discs.json")] for name in names}
    assert {case["case"]: case["metrics"]["references"] for case in content["cases"]} == {
        case: len(values) for case, values in known.items()
    }
    assert content["summary"]["exams"] == 5
    assert content["original"]
    with open(tmp_path / "metrics.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if float(row["referenced"])]
    assert {case: [int(row["level"]) for row in rows if row["case"] == case] for case in known} == known
    identified = np.mean([float(row["identified"]) for row in rows])
    assert workflow.evaluator.state.metrics["identification_rate"] == pytest.approx(identified)


def test_an_evaluation_on_one_fold_leaves_out_bad_points(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    (data / "labels" / "phantom00001_discs.json").write_text("{")
    datalist = json.loads((data / "dataset.json").read_text())
    datalist["training"] = [{**case, "fold": int(number > 1)} for number, case in enumerate(datalist["training"])]
    (tmp_path / "mine.json").write_text(json.dumps(datalist))
    options = {"dataset_dir": str(data), "datalist": str(tmp_path / "mine.json"), "checkpoint": checkpoint}
    with pytest.raises(SystemExit) as end:
        run_disc_workflow("evaluate", output_dir=str(tmp_path / "out"), split="validation", fold=0, **options)
    assert end.value.code == 2
    assert failures(tmp_path / "out") == {"phantom00001": "DiscFileError"}
    cases = json.loads((tmp_path / "out" / "metrics.json").read_text())["cases"]
    assert [case["case"] for case in cases] == ["phantom00000"]


def test_all_files_of_a_case_have_the_same_discs(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    label(dataset / "images", tmp_path, checkpoint, figure=True)
    names = [f"phantom{number:05d}" for number in range(5)]
    expected = {f"{name}{ending}" for name in names for ending in (*ENDINGS, ".png")} | {
        "summary.json",
        "label-discs_dseg.tsv",
    }
    assert {path.name for path in tmp_path.iterdir()} == expected
    source = nib.load(dataset / "images" / "phantom00000.nii.gz")
    labels = nib.load(tmp_path / f"phantom00000{ENDINGS[0]}")
    assert labels.shape == source.shape
    assert labels.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(labels.affine, source.affine)
    discs = read_discs(tmp_path / "phantom00000.json")
    assert discs
    half = np.linalg.norm(np.linalg.norm(source.affine[:3, :3], axis=0)) / 2
    for file, reach in ((ENDINGS[0], half), (".csv", 1e-3), (".mrk.json", 1e-3)):
        again = read_discs(tmp_path / f"phantom00000{file}")
        assert [disc.value for disc in again] == [disc.value for disc in discs], file
        offsets = [np.subtract(one.position, other.position) for one, other in zip(again, discs, strict=True)]
        assert np.linalg.norm(offsets, axis=1).max() <= reach, file


def test_discs_are_named_from_head_to_foot_once_each(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    """Also those of a network that has hardly learnt anything."""
    label(dataset / "images", tmp_path, checkpoint)
    for path in sorted(tmp_path.glob("phantom?????.json")):
        discs = read_discs(path)
        assert len({disc.value for disc in discs}) == len(discs)
        assert (np.diff([disc.position[2] for disc in discs]) < 0).all()


def test_a_resumed_job_makes_only_what_is_missing(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    label(dataset / "images", tmp_path, checkpoint)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    (tmp_path / "phantom00002.csv").unlink()
    (tmp_path / "phantom00003.json").unlink()
    label(dataset / "images", tmp_path, checkpoint, resume=True)
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    assert before.keys() == after.keys()
    redone = {name[:12] for name in before if name != "summary.json" and after[name][0] != before[name][0]}
    assert redone == {"phantom00002", "phantom00003"}
    assert all(after[name][1] == before[name][1] for name in before if name.endswith(".csv"))
    assert failures(tmp_path) == {}


@pytest.mark.parametrize(
    "change",
    [{"numbering": "totalspineseg"}, {"first_level": 1}, {"postprocessing#transforms#0#peaks": {"threshold": 1e9}}],
    ids=["numbering", "first level", "threshold"],
)
def test_a_resumed_job_with_another_setting_makes_everything_anew(
    change: dict[str, Any], dataset: Path, checkpoint: str, tmp_path: Path
) -> None:
    image = dataset / "images" / "phantom00000.nii.gz"
    label(image, tmp_path / "out", checkpoint)
    label(image, tmp_path / "out", checkpoint, resume=True, **change)
    label(image, tmp_path / "fresh", checkpoint, **change)
    for ending in (ENDINGS[0], ".csv"):
        resumed, fresh = ((tmp_path / folder / f"phantom00000{ending}").read_bytes() for folder in ("out", "fresh"))
        assert resumed == fresh


@pytest.mark.parametrize(("output_format", "ending"), [("nrrd", ".nrrd"), ("mha", ".mha")])
def test_label_maps_come_in_other_formats(
    output_format: str, ending: str, dataset: Path, checkpoint: str, tmp_path: Path
) -> None:
    label(dataset / "images" / "phantom00000.nii.gz", tmp_path, checkpoint, output_format=output_format)
    assert (tmp_path / f"phantom00000_label-discs_dlabel{ending}").is_file()


def bad_files(folder: Path) -> dict[str, str]:
    """Write files that cannot be used; return the type of the error by name."""
    good = noise((7, 32, 48))
    nan = good.copy()
    nan[3, 4, 5] = np.nan
    write_nifti(folder / "nan.nii.gz", nan)
    write_nifti(folder / "series.nii.gz", np.stack([good, good], -1))
    write_nifti(folder / "slice.nii.gz", good[0])
    write_nifti(folder / "fine.nii.gz", good, np.diag([3, 0.05, 0.05, 1]))
    write_nifti(folder / "coarse.nii.gz", good, np.diag([20, 1, 1, 1.0]))
    complete = write_nifti(folder / "cut.nii.gz", good).read_bytes()
    (folder / "cut.nii.gz").write_bytes(complete[: len(complete) // 2])
    (folder / "empty.nii.gz").touch()
    return {
        "nan": "NonFiniteVoxelsError",
        "series": "DimensionError",
        "slice": "DimensionError",
        "fine": "SpacingError",
        "coarse": "SpacingError",
        "cut": "UnreadableFileError",
        "empty": "UnreadableFileError",
    }


def test_invalid_files_among_valid_ones(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    """The good ones are labeled; the others have typed messages that name the file; exit status 2, no traceback."""
    folder, output = tmp_path / "in", tmp_path / "out"
    expected = bad_files(folder)
    for number in range(2):
        shutil.copy(dataset / "images" / f"phantom0000{number}.nii.gz", folder)
    small = known_options(Path(ROOT, "configs", "disc_labeling", "inference.json"), SMALL)
    options = [part for name, value in {**small, "figure": False}.items() for part in (f"--{name}", str(value))]
    run = warm_command_line(
        *("monai.bundle", "run", "--config_file", "configs/disc_labeling/inference.json", "--input", str(folder)),
        *("--output_dir", str(output), "--checkpoint", checkpoint, *options),
    )
    assert run.returncode == 2, run.stdout
    assert "Traceback" not in run.stdout
    assert failures(output) == expected
    assert sorted(path.name for path in output.glob("*.csv")) == ["phantom00000.csv", "phantom00001.csv"]
    for name in expected:
        assert f"{folder / name}.nii.gz" in run.stdout


@pytest.mark.parametrize("shape", [(2, 9, 12), (40, 3, 3), (60, 70, 5)])
def test_volumes_of_any_size_are_labeled(shape: tuple[int, ...], checkpoint: str, tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise(shape), np.diag([3, 1, 1, 1.0]))
    label(image, tmp_path / "out", checkpoint)
    assert nib.load(tmp_path / "out" / f"scan{ENDINGS[0]}").shape == shape


def test_a_case_without_discs_has_all_files_and_a_remark(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    image = dataset / "images" / "phantom00000.nii.gz"
    label(image, tmp_path, checkpoint, figure=True, **{"postprocessing#transforms#0#peaks": {"threshold": 2.0}})
    expected = {f"phantom00000{ending}" for ending in (*ENDINGS, ".png")} | {"summary.json", "label-discs_dseg.tsv"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    content = json.loads((tmp_path / "phantom00000.json").read_text())
    assert content["discs"] == []
    assert "no disc was found" in content["remarks"]
    assert not np.asarray(nib.load(tmp_path / f"phantom00000{ENDINGS[0]}").dataobj).any()


def test_weights_of_another_network_are_refused(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        label(dataset / "images", tmp_path, checkpoint, **{"network_def#width": 16})
    cause: BaseException = error.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert f"checkpoint {checkpoint} is of another network" in str(cause)


def test_the_skeleton_is_read_from_the_file_that_is_named(dataset: Path, checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        label(dataset / "images", tmp_path, checkpoint, skeleton_file=str(tmp_path / "no.json"))
    cause: BaseException = error.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert str(tmp_path / "no.json") in str(cause)


def test_a_single_invalid_input_is_reported_without_a_traceback(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        label(tmp_path / "no.nii.gz", tmp_path / "out", checkpoint)
    assert end.value.code == 2
    assert "does not exist" in (tmp_path / "out" / "summary.json").read_text()


def test_the_shipped_skeleton_knows_every_level_of_the_configs() -> None:
    skeleton = SkeletonPrior.load(Path(ROOT, "models", "disc_labeling", "skeleton.json"))
    assert list(skeleton.levels) == list(range(2, 26))
