"""SaveSegmentationd writes label maps on their file's grid, of the smallest type, and says in JSON what it wrote."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
import torch
from helpers.dicom_files import write_series
from helpers.phantoms import ball, noise, rotation, write_nifti
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Orientation
from PIL import Image

from bundle import __version__
from bundle.inference import BackgroundWriter, CaseFindings, CaseRecord, SaveSegmentationd
from bundle.io import LoadVolumed
from bundle.io.input_checks import GridMismatchError
from bundle.io.label_maps import save_label_map

NAMES = {"lower": 1, "upper": 2}
OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
OBLIQUE[:3, 3] = 11, -7, 5


def case_of(path: Path, labels: np.ndarray, **more: Any) -> dict[str, Any]:
    """Return what a workflow has at its end: the loaded image and a label map with its metadata."""
    data: dict[str, Any] = {**LoadVolumed("image")({"image": str(path)}), **more}
    data["pred"] = MetaTensor(torch.as_tensor(labels)[None], meta=data["image"].meta)
    return data


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_nifti(tmp_path / "in" / "scan.nii.gz", noise((12, 12, 12), dtype=np.int16), OBLIQUE)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sform_code": 4, "qform_code": 1},
        {"sform_code": 0, "qform_code": 2},
        {"sform_code": 3, "qform_code": 0},
        {"image": nib.Nifti2Image},
        {"big_endian": True},
        {"header": {"scl_slope": 0.5, "scl_inter": -20, "cal_max": 300, "descrip": b"by a scanner"}},
        {"header": {"dim": [4, 12, 12, 12, 1, 1, 1, 1]}},
    ],
    ids=["plain", "two codes", "qform alone", "sform alone", "NIfTI-2", "big-endian", "slope", "fourth axis"],
)
def test_the_label_map_lies_exactly_where_the_image_lies(options: dict, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "in" / "scan.nii.gz", noise((12, 12, 12), dtype=np.int16), OBLIQUE, **options)
    result = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "out")(case_of(path, ball()))
    source, written = nib.load(path), nib.load(tmp_path / "out" / "scan_seg.nii.gz")
    assert result["record"].results["output"] == str(tmp_path / "out" / "scan_seg.nii.gz")
    assert type(written) is type(source)
    assert written.get_data_dtype() == np.uint8
    assert written.shape == (12, 12, 12)
    np.testing.assert_array_equal(np.asarray(written.dataobj), ball())
    np.testing.assert_array_equal(written.affine, source.affine)
    for form in ("get_sform", "get_qform"):
        (theirs, their_code), (ours, our_code) = (getattr(item.header, form)(coded=True) for item in (source, written))
        assert our_code == their_code
        assert ours is None if theirs is None else np.array_equal(ours, theirs)
    assert written.header["cal_max"] == 0
    assert written.header["descrip"].item().decode() == f"keyslice {__version__}"


@pytest.mark.parametrize(("largest", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (70000, np.uint32)])
def test_the_type_is_the_smallest_that_holds_the_classes(
    largest: int, dtype: type, image: Path, tmp_path: Path
) -> None:
    labels = ball().astype(np.int32)
    labels[labels == 2] = largest
    save = SaveSegmentationd("pred", label_names={"lower": 1, "last": largest}, output_dir=tmp_path)
    save(case_of(image, labels))
    written = nib.load(tmp_path / "scan_seg.nii.gz")
    assert written.get_data_dtype() == dtype
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)


def test_volumes_are_those_of_boxes_known_in_closed_form(image: Path, tmp_path: Path) -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:4, 2:7, 3:10], labels[8:, 8:, 8:] = 1, 3
    names = {"box": 1, "absent": 2, "cube": 3}
    result = SaveSegmentationd("pred", label_names=names, output_dir=tmp_path)(case_of(image, labels))[
        "record"
    ].to_json()
    voxel = 0.8 * 1.2 * 2.5
    assert result["labels"] == {
        "box": {
            "value": 1,
            "voxels": 105,
            "volume_mm3": pytest.approx(105 * voxel, abs=1e-2),
            "components": 1,
            "component_volumes_mm3": [pytest.approx(105 * voxel, abs=1e-2)],
            "border_share": 0,
        },
        "absent": {
            "value": 2,
            "voxels": 0,
            "volume_mm3": 0,
            "components": 0,
            "component_volumes_mm3": [],
            "border_share": None,
        },
        "cube": {
            "value": 3,
            "voxels": 64,
            "volume_mm3": pytest.approx(64 * voxel, abs=1e-2),
            "components": 1,
            "component_volumes_mm3": [pytest.approx(64 * voxel, abs=1e-2)],
            "border_share": round(37 / 64, 4),
        },
    }


def test_the_json_has_the_confidence_that_the_inferer_measured(image: Path, tmp_path: Path) -> None:
    numbers = {"margin": 0.9, "entropy": 0.1}
    findings = CaseFindings({"": NAMES}, numbers={"upper": numbers})
    data = case_of(image, ball(), record=CaseRecord("scan", str(image), findings=findings))
    labels = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path)(data)["record"].to_json()["labels"]
    assert {key: labels["upper"][key] for key in numbers} == numbers
    assert "margin" not in labels["lower"]


def test_the_json_records_settings_and_inputs(image: Path, tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    save = SaveSegmentationd(
        "pred", label_names=NAMES, output_dir=tmp_path / "new" / "out", checkpoint=weights, postfix="labels"
    )
    provenance = {"settings": "abc", "input": "def"}
    record = CaseRecord("patient 7", started=time.perf_counter(), plan="bf16 (kept)", provenance=provenance)
    data = case_of(image, ball(), record=record)
    data["image"].meta["remarks"] = "first remark; second remark"
    record = save(data)["record"].to_json()
    written, table = (tmp_path / "new" / "out" / f"patient 7_{name}" for name in ("labels.nii.gz", "dseg.tsv"))
    assert json.loads((tmp_path / "new" / "out" / "patient 7.json").read_text()) == record
    assert record == {
        "case": "patient 7",
        "input": str(image),
        "output": str(tmp_path / "new" / "out" / "patient 7_labels.nii.gz"),
        "shape": [12, 12, 12],
        "spacing_mm": [0.8, 1.2, 2.5],
        "labels": record["labels"],
        "remarks": ["first remark", "second remark"],
        "seconds": record["seconds"],
        "checkpoint": {"path": str(weights), "sha256": hashlib.sha256(b"weights").hexdigest()},
        "plan": "bf16 (kept)",
        "provenance": provenance,
        "versions": {
            "keyslice": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("monai", "torch", "numpy", "scipy", "nibabel")},
        },
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (written, table)},
    }
    assert record["seconds"] >= 0


def test_what_is_not_known_is_null(image: Path, tmp_path: Path) -> None:
    record = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path)(case_of(image, ball()))[
        "record"
    ].to_json()
    assert record["seconds"] is None
    assert record["checkpoint"] is None
    assert record["remarks"] == []


def test_a_collated_and_decollated_case_is_written_the_same(image: Path, tmp_path: Path) -> None:
    data = case_of(image, ball(), case="a")
    (again,) = decollate_batch(list_data_collate([data]))
    record = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path)(again)["record"].to_json()
    assert record["case"] == "a"
    assert record["input"] == str(image)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "a_seg.nii.gz").dataobj), ball())


@pytest.mark.parametrize("fault", ["shape", "place", "turn"])
def test_a_label_map_on_another_grid_is_refused_and_nothing_is_written(fault: str, image: Path, tmp_path: Path) -> None:
    data = case_of(image, ball() if fault != "shape" else ball((12, 12, 13)))
    if fault == "place":
        data["pred"].affine[0, 3] += 1
    if fault == "turn":
        data["pred"].affine[:3, 0] *= -1
    with pytest.raises(GridMismatchError, match="is not on the grid of its input"):
        SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "out")(data)
    assert list((tmp_path / "out").iterdir()) == []


def test_only_complete_files_appear_and_earlier_ones_are_replaced(image: Path, tmp_path: Path) -> None:
    save = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "out")
    save(case_of(image, np.zeros((12, 12, 12), np.uint8)))
    save(case_of(image, ball()))
    names = ["scan.json", "scan_dseg.tsv", "scan_seg.nii.gz"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names
    assert np.asarray(nib.load(tmp_path / "out" / "scan_seg.nii.gz").dataobj).any()


def test_a_failed_writing_leaves_the_earlier_file_and_no_part_of_a_new_one(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: Any, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    save = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "out")
    save(case_of(image, ball()))
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(nib, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(case_of(image, ball()))
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_a_missing_key_is_an_error_unless_it_may_be_missing(image: Path, tmp_path: Path) -> None:
    data = case_of(image, ball())
    del data["pred"]
    with pytest.raises(KeyError, match="pred"):
        SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path)(data)
    assert "record" not in SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path, allow_missing_keys=True)(
        data
    )


def test_a_label_map_can_be_saved_alone_and_gives_the_voxel_size(image: Path, tmp_path: Path) -> None:
    spacing = save_label_map(ball(), tmp_path / "x.nii.gz", source=image, affine=nib.load(image).affine)
    np.testing.assert_allclose(spacing, (0.8, 1.2, 2.5), atol=1e-6)


def test_an_unknown_output_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"must be one of nii\.gz, nrrd, mha, dicom_seg, dicom_seg_labelmap, rtstruct, got 'png'"
    ):
        SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path, output_format="png")


@pytest.mark.parametrize(
    ("output_format", "written"),
    [("dicom_seg", "BINARY"), ("dicom_seg_labelmap", "LABELMAP"), ("rtstruct", "RTSTRUCT")],
)
def test_dicom_input_gives_dicom_objects_and_confidence_maps_as_nifti(
    output_format: str, written: str, tmp_path: Path
) -> None:
    series = write_series(tmp_path / "scan", noise((12, 12, 12), dtype=np.int16), OBLIQUE)
    options = {"output_dir": tmp_path / "out", "output_format": output_format, "maps": ["margin"]}
    data = case_of(series, ball())
    data["pred_margin"] = MetaTensor(torch.ones(1, 12, 12, 12), meta=data["image"].meta)
    SaveSegmentationd("pred", label_names=NAMES, **options)(data)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        *("scan_seg.dcm", "scan_margin.nii.gz", "scan.json", "scan_dseg.tsv")
    }
    item = pydicom.dcmread(tmp_path / "out" / "scan_seg.dcm")
    assert item.get("SegmentationType", item.Modality) == written


def test_a_writer_gets_the_result_and_writes_the_same(image: Path, tmp_path: Path) -> None:
    writer = BackgroundWriter()
    data = case_of(image, ball(), case="a")
    beside = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "beside", writer=writer)(data)
    direct = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "direct")(data)["record"].to_json()
    writer.finish()
    assert beside["record"].to_json() == {**direct, "output": str(tmp_path / "beside" / "a_seg.nii.gz")}
    for name in ("a_seg.nii.gz", "a_dseg.tsv", "a.json"):
        assert (tmp_path / "beside" / name).is_file()


def test_a_further_result_that_cannot_be_written_fails_its_case(image: Path, tmp_path: Path) -> None:
    writer = BackgroundWriter()
    (tmp_path / "out" / "a.json").mkdir(parents=True)
    save = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path / "out", writer=writer)
    record = save(case_of(image, ball(), case="a"))["record"]
    writer.finish()
    assert (record.status, record.case, record.file) == ("failed", "a", str(image))


def test_confidence_maps_are_written_with_their_mean_for_each_structure(image: Path, tmp_path: Path) -> None:
    labels, margin = ball(), (noise((12, 12, 12)) * 20 + 100).astype(np.uint8)
    labels[labels == 2] = 0
    data = case_of(image, labels, case="a")
    data["pred_margin"] = MetaTensor(torch.as_tensor(margin)[None], meta=data["image"].meta)
    save = SaveSegmentationd(
        "pred", label_names=NAMES, output_dir=tmp_path / "out", output_format="nrrd", maps=["margin"]
    )
    record = save(data)["record"].to_json()
    assert list(record["files"]) == ["a_seg.nrrd", "a_dseg.tsv", "a_margin.nrrd"]
    assert record["labels"]["lower"]["mean_margin"] == round(float(margin[labels == 1].mean() / 255), 4)
    assert "mean_margin" not in record["labels"]["upper"]
    image_of_map = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "out" / "a_margin.nrrd")))
    np.testing.assert_array_equal(image_of_map.transpose(2, 1, 0), margin)


def test_a_missing_confidence_map_is_an_error(image: Path, tmp_path: Path) -> None:
    save = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path, maps=["margin"])
    with pytest.raises(ValueError, match=r"lack the confidence maps \['margin'\]; add SplitConfidenceMapsd before"):
        save(case_of(image, ball()))


def test_maps_of_more_classes_than_a_byte_holds_are_bytes(image: Path, tmp_path: Path) -> None:
    data = case_of(image, ball().astype(np.int16))
    data["pred_margin"] = MetaTensor(torch.as_tensor(ball().astype(np.int16) * 100)[None], meta=data["image"].meta)
    SaveSegmentationd("pred", label_names={"a": 1, "last": 300}, output_dir=tmp_path, maps=["margin"])(data)
    written = nib.load(tmp_path / "scan_margin.nii.gz")
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(written.dataobj), ball() * 100)


@pytest.mark.parametrize("in_background", [True, False])
def test_the_overlay_is_written_and_listed_in_the_json(in_background: bool, image: Path, tmp_path: Path) -> None:
    writer = BackgroundWriter() if in_background else None
    options = {"output_dir": tmp_path / "out", "overlay": "true", "writer": writer}
    record = SaveSegmentationd("pred", label_names=NAMES, **options)(case_of(image, ball(), case="a"))["record"]
    if writer is not None:
        writer.finish()
    assert list(record.to_json()["files"]) == ["a_seg.nii.gz", "a_dseg.tsv", "a_overlay.png"]
    with Image.open(tmp_path / "out" / "a_overlay.png") as drawn:
        assert drawn.size[0] > 1000


def test_the_overlay_shows_an_image_on_another_grid_at_the_same_place(image: Path, tmp_path: Path) -> None:
    drawn = []
    for turned in (False, True):
        data = case_of(image, ball())
        if turned:
            data["image"] = Orientation("LIA", labels=None)(data["image"])
        save = SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path, overlay=True)
        save(data)
        with Image.open(tmp_path / "scan_overlay.png") as figure:
            drawn.append(np.asarray(figure).astype(int))
    assert drawn[0].shape == drawn[1].shape
    assert (np.abs(drawn[0] - drawn[1]) <= 1).mean() > 0.999


def test_the_overlay_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="overlay must be true or false, got 'some'"):
        SaveSegmentationd("pred", label_names=NAMES, output_dir=tmp_path, overlay="some")


def test_the_background_is_not_measured_as_a_structure(image: Path, tmp_path: Path) -> None:
    names = {"background": 0, **NAMES, "ignore": 3}
    shape = nib.load(image).shape
    data = SaveSegmentationd("pred", label_names=names, output_dir=tmp_path / "out")(
        case_of(image, np.ones(shape, np.uint8))
    )
    assert list(data["record"].results["labels"]) == list(NAMES)


def test_the_table_has_the_values_and_names_of_the_label_map(image: Path, tmp_path: Path) -> None:
    names = {"background": 0, **NAMES}
    SaveSegmentationd("pred", label_names=names, output_dir=tmp_path)(case_of(image, ball()))
    table = (tmp_path / "scan_dseg.tsv").read_text(encoding="utf-8")
    assert table == "index\tname\n0\tbackground\n1\tlower\n2\tupper\n"


class TestRegions:
    """The result of an inferer that knows regions has their names and values."""

    FINDINGS = CaseFindings(
        {"left": {"lower": 11, "upper": 12}, "right": {"lower": 301, "upper": 302}},
        {"regions": [{"name": "left"}, {"name": "right"}]},
        ["right touches the border"],
    )

    def save(self, image: Path, out: Path, findings: CaseFindings = FINDINGS, **options: Any) -> dict[str, Any]:
        labels = np.zeros((12, 12, 12), np.int16)
        labels[1:3, 1:4, 1:5], labels[1:3, 4:6, 1:5] = 11, 12
        labels[8:10, 1:4, 1:4], labels[8:10, 4:6, 1:4] = 301, 302
        record = CaseRecord("a", findings=findings)
        data = case_of(image, labels, record=record)
        SaveSegmentationd("pred", label_names=NAMES, output_dir=out, **options)(data)
        return json.loads((out / "a.json").read_text())

    def test_labels_have_full_names(self, image: Path, tmp_path: Path) -> None:
        record = self.save(image, tmp_path)
        expected = {
            "left_lower": (11, 24),
            "left_upper": (12, 16),
            "right_lower": (301, 18),
            "right_upper": (302, 12),
        }
        assert {name: (entry["value"], entry["voxels"]) for name, entry in record["labels"].items()} == expected
        table = (tmp_path / "a_dseg.tsv").read_text(encoding="utf-8").splitlines()
        assert table[2:] == [f"{value}\t{name}" for name, (value, _) in expected.items()]

    def test_volumes_and_asymmetry_are_those_of_the_regions(self, image: Path, tmp_path: Path) -> None:
        record, voxel = self.save(image, tmp_path), 0.8 * 1.2 * 2.5
        volumes = {"left": (24, 16, 40), "right": (18, 12, 30)}
        for region, counts in volumes.items():
            assert list(record["volumes_mm3"][region]) == ["lower", "upper", "total"]
            assert list(record["volumes_mm3"][region].values()) == pytest.approx([n * voxel for n in counts], abs=1e-2)
        percent = pytest.approx(100 * 2 / 7, abs=0.01)
        assert record["asymmetry_percent"] == {"lower": percent, "upper": percent, "total": percent}

    def test_remarks_and_entries_of_the_findings_are_in_the_json(self, image: Path, tmp_path: Path) -> None:
        record = self.save(image, tmp_path)
        assert record["regions"] == self.FINDINGS.results["regions"]
        assert record["remarks"] == self.FINDINGS.remarks

    def test_one_region_has_no_asymmetry(self, image: Path, tmp_path: Path) -> None:
        record = self.save(image, tmp_path, CaseFindings({"left": {"lower": 11, "upper": 12}}))
        assert list(record["volumes_mm3"]) == ["left"]
        assert "asymmetry_percent" not in record

    def test_an_image_without_regions_has_volumes_by_structure_alone(self, image: Path, tmp_path: Path) -> None:
        record = self.save(image, tmp_path, CaseFindings({"": NAMES}))
        assert list(record["labels"]) == list(NAMES)
        assert "volumes_mm3" not in record

    def test_the_label_map_has_a_type_that_holds_their_values(self, image: Path, tmp_path: Path) -> None:
        self.save(image, tmp_path, overlay=True)
        written = nib.load(tmp_path / "a_seg.nii.gz")
        assert written.get_data_dtype() == np.uint16
        assert np.unique(np.asarray(written.dataobj)).tolist() == [0, 11, 12, 301, 302]
        assert (tmp_path / "a_overlay.png").is_file()
