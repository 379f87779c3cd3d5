"""The run ids cam and gates of explain.json, on phantoms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import ball, noise, orientation_affine, write_nifti
from helpers.warm_python import warm_command_line
from helpers.workflows import SMALL, run_workflow, small_options
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.networks import AttentionUNet

VNET = ["explain.json", "networks/vnet.json"]
SMALL_VNET = {"network_def#channels": [2, 4, 8], "network_def#levels#convs": [1, 1]}


def write_weights(folder: Path, **changed: float) -> str:
    """Write weights of the small network, all of whose classes occur; ``changed`` sets biases of classes."""
    torch.manual_seed(5)
    network = AttentionUNet(3, 1, 3, channels=SMALL["network_def#channels"], spatial_size=SMALL["roi_size"])
    with torch.no_grad():
        for name, value in changed.items():
            network.heads[-1].bias[int(name[-1])] = value
    torch.save(network.state_dict(), folder / "model.pt")
    return str(folder / "model.pt")


def scan(folder: Path, name: str = "scan", affine: np.ndarray | None = None) -> Path:
    shape = (18, 20, 24)
    return write_nifti(folder / "in" / f"{name}.nii.gz", noise(shape) + ball(shape, 6), affine)


def explain(run_id: str, image: Path, output: Path, config: str | list[str] = "explain.json", **options: Any) -> Any:
    """Run a run id on an image and return the record of the case."""
    run_workflow(config, run_id=run_id, input=str(image), output_dir=str(output), **options)
    return json.loads((output / f"{image.name.removesuffix('.nii.gz')}_{run_id}.json").read_text())


@pytest.mark.parametrize("method", ["hirescam", "gradcam", "gradcampp"])
def test_maps_lie_on_the_grid_of_the_input(method: str, tmp_path: Path) -> None:
    image = scan(tmp_path, affine=orientation_affine("PIR", (1.6, 0.9, 0.8)))
    record = explain("cam", image, tmp_path / "out", checkpoint=write_weights(tmp_path), cam_method=method)
    source = nib.load(image)
    assert sorted(record["structures"]) == ["anterior", "posterior"]
    assert (record["method"], record["layer"]) == (method, "encoders.1")
    for name, found in record["structures"].items():
        assert found["output"] == str(tmp_path / "out" / f"scan_cam_{name}.nii.gz")
        result = nib.load(found["output"])
        values = np.asarray(result.dataobj)
        assert result.get_data_dtype() == np.float32
        assert result.shape == source.shape
        np.testing.assert_array_equal(result.header.get_sform(), source.header.get_sform())
        assert (values.min(), values.max()) == (0, 1)
        assert values[tuple(found["peak_voxel"])] == 1
        assert 0 < found["share_inside"] < 1
    assert Path(record["figure"]).is_file()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["cases"] == [record]


def test_the_map_turns_with_the_axes_of_the_file(tmp_path: Path) -> None:
    weights, image = write_weights(tmp_path), scan(tmp_path)
    turned = nib.load(image).as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple("SPL"))
        )
    )
    other = write_nifti(tmp_path / "in" / "turned.nii.gz", np.asarray(turned.dataobj), turned.affine)
    maps = [
        nib.as_closest_canonical(
            nib.load(explain("cam", file, tmp_path / "out", checkpoint=weights)["structures"]["anterior"]["output"])
        ).get_fdata()
        for file in (image, other)
    ]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)


@pytest.mark.parametrize("chosen", ["anterior", 1])
def test_one_structure_and_one_layer_can_be_chosen(chosen: str | int, tmp_path: Path) -> None:
    options = {"checkpoint": write_weights(tmp_path), "cam_class": chosen, "cam_layer": "encoders.0"}
    record = explain("cam", scan(tmp_path), tmp_path / "out", **options)
    assert list(record["structures"]) == ["anterior"]
    assert record["layer"] == "encoders.0"
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["scan_cam_anterior.nii.gz"]


def test_a_structure_that_is_not_predicted_is_said_and_has_a_map_of_zeros(tmp_path: Path) -> None:
    record = explain("cam", scan(tmp_path), tmp_path / "out", checkpoint=write_weights(tmp_path, class2=-1e4))
    assert record["remarks"] == ["the map of posterior is zero: it is predicted nowhere in this volume"]
    found = record["structures"]["posterior"]
    assert (found["predicted_voxels"], found["share_inside"], found["peak_voxel"]) == (0, None, None)
    assert not np.asarray(nib.load(found["output"]).dataobj).any()
    assert record["structures"]["anterior"]["predicted_voxels"] > 0


def test_gates_are_reported_by_the_slices_of_the_input(tmp_path: Path) -> None:
    affine = orientation_affine("PIR", (1.6, 0.9, 0.8))
    record = explain("gates", scan(tmp_path, affine=affine), tmp_path / "out", checkpoint=write_weights(tmp_path))
    assert [level["level"] for level in record["levels"]] == ["encoders.0", "encoders.1", "decoders.0"]
    for level in record["levels"]:
        assert level["input_axis"] == 1
        np.testing.assert_allclose(level["position_mm"], 5 - 0.9 * np.arange(20), atol=1e-4)
        for name in ("gate_mean", "gate_min", "gate_max", "key_share"):
            assert len(level[name]) == 20
            assert 0 <= min(level[name]) <= max(level[name]) <= 1
    rows = Path(record["table"]).read_text().splitlines()
    assert rows[0] == "level,channel,slice,position_mm,gate,key"
    assert len(rows) == 1 + (4 + 8 + 4) * 20
    assert Path(record["figure"]).is_file()
    (summary,) = json.loads((tmp_path / "out" / "summary.json").read_text())["cases"]
    assert summary == {name: value for name, value in record.items() if name != "levels"}


@pytest.mark.parametrize("attention", ["sa", "csa", "sca", "pam"])
@pytest.mark.parametrize(("config", "sizes"), [("explain.json", {}), (VNET, SMALL_VNET)], ids=["unet", "vnet"])
def test_the_gates_of_every_slice_mechanism_of_every_network_are_reported(
    attention: str, config: Any, sizes: Any, tmp_path: Path
) -> None:
    options = {"checkpoint": "", "attention": attention, **sizes}
    levels = explain("gates", scan(tmp_path), tmp_path / "gates", config, **options)["levels"]
    assert len(levels) == (4 if config == VNET else 3)
    assert all((level["key_share"] is None) == (attention != "pam") for level in levels)


def test_maps_of_another_network_take_its_own_layer(tmp_path: Path) -> None:
    record = explain("cam", scan(tmp_path), tmp_path / "cam", VNET, checkpoint="", **SMALL_VNET)
    assert record["layer"] == "decoders.0"


def test_maps_need_no_slice_gates(tmp_path: Path) -> None:
    image = scan(tmp_path)
    explain("cam", image, tmp_path / "out", checkpoint="", attention="se")
    with pytest.raises(RuntimeError) as error:
        explain("gates", image, tmp_path / "out", checkpoint="", attention="se")
    assert "attention must be 'sa', 'csa', 'sca' or 'pam'" in causes(error.value)


@pytest.mark.parametrize(
    ("option", "value"), [("cam_class", "hippocampus"), ("cam_layer", "no.such"), ("cam_method", "cam")]
)
def test_an_option_that_does_not_exist_is_named(option: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        explain("cam", scan(tmp_path), tmp_path / "out", checkpoint="", **{option: value})
    assert f"{option} " in causes(error.value)


def causes(error: BaseException | None) -> str:
    told = []
    while error is not None:
        told.append(str(error))
        error = error.__cause__
    return "\n".join(told)


@pytest.mark.parametrize("run_id", ["cam", "gates"])
def test_a_bad_file_is_skipped_with_exit_status_2(run_id: str, tmp_path: Path) -> None:
    voxels = noise((16, 16, 16))
    voxels[2, 3, 4] = np.nan
    write_nifti(tmp_path / "in" / "bad.nii.gz", voxels)
    scan(tmp_path, "good")
    run = warm_command_line(
        *("monai.bundle", "run", run_id, "--config_file", "configs/explain.json", "--input", str(tmp_path / "in")),
        *("--output_dir", str(tmp_path / "out"), "--checkpoint", write_weights(tmp_path), *small_options()),
    )
    assert run.returncode == 2, run.stdout
    assert "Traceback" not in run.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [case["case"] for case in summary["cases"]] == ["good"]
    assert [(failure["case"], failure["error"]) for failure in summary["failures"]] == [("bad", "NonFiniteVoxelsError")]
    assert (tmp_path / "out" / f"good_{run_id}.png").is_file()


def test_the_maps_of_a_run_build_nothing_of_the_gates(tmp_path: Path) -> None:
    options = {"input": str(scan(tmp_path)), "output_dir": str(tmp_path / "out"), "checkpoint": "", "run_id": "cam"}
    workflow = run_workflow("explain.json", **options)
    built = set(workflow.parser.ref_resolver.resolved_content)
    assert "cam_evaluator" in built
    assert not {"gate_profiles", "gates_evaluator"} & built


@pytest.mark.parametrize("run_id", ["cam", "gates"])
def test_an_explanation_can_run_twice(run_id: str, tmp_path: Path) -> None:
    image = scan(tmp_path)
    workflow = create_workflow(
        config_file=str(Path(ROOT, "configs", "explain.json")),
        workflow_type="infer",
        logging_file=False,
        run_id=run_id,
        **{**SMALL, "input": str(image), "output_dir": str(tmp_path / "out"), "checkpoint": ""},
    )
    records = []
    for _ in range(2):
        workflow.run()
        record = json.loads((tmp_path / "out" / f"scan_{run_id}.json").read_text())
        records.append({name: value for name, value in record.items() if name != "seconds"})
    assert records[0] == records[1]
