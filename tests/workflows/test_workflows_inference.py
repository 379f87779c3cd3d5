"""Inference and evaluation as a whole, on phantoms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import ball, noise, orientation_affine, rotation, write_nifti
from helpers.warm_python import warm_command_line
from helpers.workflows import (
    command_line,
    make_workflow,
    run_workflow,
    save_small_weights,
    small_dataset,
    small_options,
)

from bundle import ROOT
from bundle.inference.plausibility import NOT_JUDGED


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of the small network that answer to intensities, so that label maps are not empty."""
    return save_small_weights(tmp_path_factory.mktemp("weights"))


def segment(image: Path, output: Path, checkpoint: str, **overrides: object) -> nib.Nifti1Image:
    run_workflow("inference.json", input=str(image), output_dir=str(output), checkpoint=checkpoint, **overrides)
    return nib.load(output / image.name.replace(".nii.gz", "_seg.nii.gz"))


@pytest.mark.parametrize("code", ["RAS", "LPS", "LIA", "PSR", "AIL", "SRP"])
def test_the_result_does_not_depend_on_the_order_of_the_axes(code: str, tmp_path: Path, checkpoint: str) -> None:
    upright = noise((20, 18, 24)) + ball((20, 18, 24), 6)
    expected = segment(write_nifti(tmp_path / "ras.nii.gz", upright), tmp_path / "out", checkpoint)
    turned = nib.as_closest_canonical(nib.Nifti1Image(upright, np.eye(4))).as_reoriented(
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(code))
    )
    image = write_nifti(tmp_path / f"{code}.nii.gz", np.asarray(turned.dataobj), turned.affine)
    result = segment(image, tmp_path / "out", checkpoint)
    assert nib.aff2axcodes(result.affine) == tuple(code)
    np.testing.assert_array_equal(nib.as_closest_canonical(result).dataobj, expected.dataobj)
    assert np.unique(np.asarray(expected.dataobj)).size > 1


@pytest.mark.parametrize(
    "affine",
    [
        rotation(20, -15, 30) @ np.diag([1.1, 0.9, 1.0, 1]),
        np.diag([0.6, 0.6, 3.0, 1.0]),
        orientation_affine("PIR", (2.0, 0.7, 0.7)),
    ],
    ids=["oblique", "thick slices", "thick sagittal slices"],
)
def test_the_result_lies_on_the_grid_of_the_input(affine: np.ndarray, tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((22, 19, 17)), affine)
    source, result = nib.load(image), segment(image, tmp_path / "out", checkpoint)
    assert result.shape == source.shape
    assert result.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(result.header.get_sform(), source.header.get_sform())
    np.testing.assert_array_equal(result.header.get_qform(), source.header.get_qform())


@pytest.mark.parametrize("shape", [(6, 9, 7), (16, 16, 16), (40, 9, 21)])
def test_volumes_of_any_size_are_segmented(shape: tuple[int, int, int], tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise(shape))
    assert segment(image, tmp_path / "out", checkpoint).shape == shape


def test_mixed_precision_gives_nearly_the_same_labels(tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((24, 24, 24)))
    full = np.asarray(segment(image, tmp_path / "a", checkpoint).dataobj)
    fast = np.asarray(segment(image, tmp_path / "b", checkpoint, plan="bf16").dataobj)
    assert (full == fast).mean() > 0.97


def test_a_folder_a_file_and_a_datalist_are_inputs(tmp_path: Path, checkpoint: str) -> None:
    data = small_dataset(tmp_path / "data", count=2)
    (data / "dataset.json").write_text(json.dumps({"test": ["images/case1.nii.gz"]}))
    for source, names in (
        (data / "images", ["case0", "case1"]),
        (data / "images" / "case0.nii.gz", ["case0"]),
        (data / "dataset.json", ["case1"]),
    ):
        output = tmp_path / source.name
        run_workflow("inference.json", input=str(source), output_dir=str(output), checkpoint=checkpoint)
        assert sorted(path.name for path in output.iterdir()) == sorted(
            [f"{name}{ending}" for name in names for ending in (".json", "_dseg.tsv", "_overlay.png", "_seg.nii.gz")]
            + ["summary.json", "volumes.csv"]
        )


def bad_files(folder: Path) -> dict[str, str]:
    """Write ten files of the contract's list; return the type of the error by file name."""
    good = noise((16, 16, 16))
    nan = good.copy()
    nan[3, 4, 5] = np.nan
    infinite = good.copy()
    infinite[0, 0, 0] = np.inf
    sheared = np.eye(4)
    sheared[0, 1] = 0.4
    write_nifti(folder / "nan.nii.gz", nan)
    write_nifti(folder / "infinite.nii.gz", infinite)
    write_nifti(folder / "series.nii.gz", np.stack([good, good], -1))
    write_nifti(folder / "slice.nii.gz", good[..., 0])
    write_nifti(folder / "complex.nii.gz", good.astype(np.complex64))
    write_nifti(folder / "nowhere.nii.gz", good, sform_code=0, qform_code=0)
    write_nifti(folder / "flipped.nii.gz", good, np.diag([-1.0, 1, 1, 1]), qform=np.eye(4))
    write_nifti(folder / "sheared.nii.gz", good, sheared, qform_code=0)
    whole = write_nifti(folder / "cut.nii.gz", good).read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.nii.gz").touch()
    return {
        "nan": "NonFiniteVoxelsError",
        "infinite": "NonFiniteVoxelsError",
        "series": "DimensionError",
        "slice": "DimensionError",
        "complex": "VoxelTypeError",
        "nowhere": "MissingGeometryError",
        "flipped": "ConflictingGeometryError",
        "sheared": "AffineError",
        "cut": "UnreadableFileError",
        "empty": "UnreadableFileError",
    }


def test_ten_bad_files_among_two_good_ones(tmp_path: Path, checkpoint: str) -> None:
    """Two label maps, ten typed messages that name the file, exit status 2, no traceback."""
    folder, output = tmp_path / "in", tmp_path / "out"
    expected = bad_files(folder)
    for name in ("good", "fine"):
        write_nifti(folder / f"{name}.nii.gz", noise((16, 16, 16)))
    run = warm_command_line(
        *("monai.bundle", "run", "--config_file", "configs/inference.json", "--input", str(folder)),
        *("--output_dir", str(output), "--checkpoint", checkpoint, *small_options()),
    )
    assert run.returncode == 2, run.stdout
    assert "Traceback" not in run.stdout
    assert sorted(path.name for path in output.glob("*_seg.nii.gz")) == ["fine_seg.nii.gz", "good_seg.nii.gz"]
    failures = json.loads((output / "summary.json").read_text())["failures"]
    assert {failure["case"]: failure["error"] for failure in failures} == expected
    for name in expected:
        assert f"{folder / name}.nii.gz" in run.stdout


def test_an_input_that_does_not_exist_is_reported_without_a_traceback(tmp_path: Path, checkpoint: str) -> None:
    with pytest.raises(SystemExit) as end:
        run_workflow(
            "inference.json", input=str(tmp_path / "no.nii.gz"), output_dir=str(tmp_path / "out"), checkpoint=checkpoint
        )
    assert end.value.code == 2
    assert "does not exist" in (tmp_path / "out" / "summary.json").read_text()


def test_weights_of_another_network_are_refused(tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((16, 16, 16)))
    with pytest.raises(RuntimeError) as error:
        segment(image, tmp_path / "out", checkpoint, attention="se")
    causes = [str(error.value)]
    cause: BaseException | None = error.value
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
        causes.append(str(cause))
    assert any(f"checkpoint {checkpoint} is of another network" in text for text in causes)


def test_the_configs_run_from_any_directory(tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((16, 16, 16)))
    config = str(Path(ROOT, "configs", "inference.json"))
    run = command_line(
        *("monai.bundle", "run", "--config_file", config, "--input", str(image), "--output_dir", str(tmp_path / "out")),
        *("--checkpoint", checkpoint, *small_options()),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "out" / "scan_seg.nii.gz").is_file()


def test_monai_loads_the_bundle_by_name() -> None:
    import monai.bundle

    root = Path(ROOT)
    network = monai.bundle.load(root.name, bundle_dir=str(root.parent), source="monaihosting")
    shipped = torch.load(root / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(value, shipped[key]) for key, value in network.state_dict().items())


def test_evaluation_writes_metrics_with_intervals(tmp_path: Path, checkpoint: str) -> None:
    data = small_dataset(tmp_path / "data", count=3)
    workflow = run_workflow(
        "evaluate.json", dataset_dir=str(data), output_dir=str(tmp_path / "out"), checkpoint=checkpoint
    )
    with open(tmp_path / "out" / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["structure"]) for row in rows][:2] == [("case0", "anterior"), ("case0", "posterior")]
    assert len(rows) == 6
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    dice = [float(row["dice"]) for row in rows if row["structure"] == "anterior"]
    summary = content["summary"]["anterior"]["dice"]
    assert summary["n"] == 3
    assert summary["mean"] == pytest.approx(np.mean(dice))
    assert summary["low"] <= summary["mean"] <= summary["high"]
    assert workflow.evaluator.state.metrics["mean_dice"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))


def test_evaluation_is_on_the_grid_of_the_label(tmp_path: Path, checkpoint: str) -> None:
    """A case whose label is the model's own answer, on a grid that inference resamples, has a Dice of 1."""
    affine = orientation_affine("LIA", (1.5, 0.8, 1.0))
    image = write_nifti(tmp_path / "data" / "images" / "a.nii.gz", noise((14, 20, 16)), affine)
    answer = segment(image, tmp_path / "out", checkpoint)
    (tmp_path / "data" / "labels").mkdir()
    nib.save(answer, tmp_path / "data" / "labels" / "a.nii.gz")
    run_workflow(
        "evaluate.json", dataset_dir=str(tmp_path / "data"), output_dir=str(tmp_path / "out"), checkpoint=checkpoint
    )
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())["summary"]
    found = [values["dice"]["mean"] for values in summary.values() if values["dice"]["n"]]
    assert found
    assert found == [1.0] * len(found)


def test_evaluation_leaves_out_bad_cases(tmp_path: Path, checkpoint: str) -> None:
    data = small_dataset(tmp_path / "data", count=2)
    write_nifti(data / "labels" / "case1.nii.gz", ball((16, 16, 16)), np.diag([1, 1, 2.0, 1]))
    with pytest.raises(SystemExit) as end:
        run_workflow("evaluate.json", dataset_dir=str(data), output_dir=str(tmp_path / "out"), checkpoint=checkpoint)
    assert end.value.code == 2
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {row["case"] for row in content["cases"]} == {"case0"}


def test_a_workflow_can_run_twice(tmp_path: Path, checkpoint: str) -> None:
    image = write_nifti(tmp_path / "scan.nii.gz", noise((16, 16, 16)))
    workflow = make_workflow(
        "inference.json", input=str(image), output_dir=str(tmp_path / "out"), checkpoint=checkpoint
    )
    workflow.run()
    workflow.run()
    assert (tmp_path / "out" / "scan_seg.nii.gz").is_file()


@pytest.mark.parametrize("value", [0, 700])
def test_padding_of_any_value_is_background_and_changes_nothing_inside(
    value: int, tmp_path: Path, checkpoint: str
) -> None:
    values = noise((20, 18, 24)) + ball((20, 18, 24), 6)
    affine = np.diag([1.2, 0.9, 1.0, 1.0])
    plain = segment(write_nifti(tmp_path / "plain.nii.gz", values, affine), tmp_path / "out", checkpoint)
    padded_values = np.pad(values, ((5, 0), (20, 7), (3, 9)), constant_values=value)
    padded = segment(write_nifti(tmp_path / "padded.nii.gz", padded_values, affine), tmp_path / "out", checkpoint)
    expected = np.pad(np.asarray(plain.dataobj), ((5, 0), (20, 7), (3, 9)))
    np.testing.assert_array_equal(padded.dataobj, expected)
    assert np.unique(expected).size > 1
    cropped, not_judged = json.loads((tmp_path / "out" / "padded.json").read_text())["remarks"]
    assert cropped.startswith("a constant border, ")
    assert cropped.endswith("of the image, was cropped")
    assert not_judged == NOT_JUDGED
