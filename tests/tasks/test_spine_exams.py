from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.data import DatalistError, load_datalist, select_cases
from bundle.tasks.spine.mask_numbering import MaskNumbering
from bundle.tasks.spine.spine_exams import SAME_PERSON, TEMPLATE, prepare_spine_exams

DOWN_BACK_RIGHT = np.array([[0, 0, 4, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
"""Affine of the exams: axes to inferior, posterior and right."""


def vertebrae(*values: int) -> np.ndarray:
    """Return boxes 20 mm high from row 10 on, 8 mm apart, 10 to 29 mm posterior to the origin, in slices 2 to 4."""
    mask = np.zeros((170, 60, 7), dtype=np.uint8)
    for place, value in enumerate(values):
        mask[10 + 28 * place : 30 + 28 * place, 10:30, 2:5] = value
    return mask


def add_exam(
    root: Path, folder: str, exam: str, mask: np.ndarray | None = None, kind: str = "vertebraseg", contrast: str = "T2w"
) -> None:
    mask = vertebrae(22, 23, 24) if mask is None else mask
    write_nifti(root / folder / f"{exam}_{kind}.nii.gz", mask, DOWN_BACK_RIGHT)
    write_nifti(root / folder / f"{exam}_{contrast}.nii.gz", mask, DOWN_BACK_RIGHT)


def discs_of(output: Path, name: str) -> dict[int, dict[str, object]]:
    content = json.loads((output / "labels" / f"{name}_discs.json").read_text())
    assert content["frame"] == "RAS"
    assert content["unit"] == "mm"
    return {disc["value"]: disc for disc in content["discs"]}


def test_tips_lie_between_the_hind_corners_of_vertebrae(tmp_path: Path) -> None:
    add_exam(tmp_path, "spines", "exam01")
    prepare_spine_exams(tmp_path, tmp_path / "out", folds=2)
    discs = discs_of(tmp_path / "out", "spines_exam01")
    assert list(discs) == [23, 24, 25]
    np.testing.assert_allclose(discs[23]["position"], [12, -29, -33.5], atol=1.5)
    np.testing.assert_allclose(discs[24]["position"], [12, -29, -61.5], atol=1.5)
    assert discs[23]["name"] == "L3-L4"
    assert discs[23]["confidence"] is None
    assert "extrapolated" not in discs[24]


def test_the_disc_below_the_last_vertebra_is_flagged_as_extrapolated(tmp_path: Path) -> None:
    add_exam(tmp_path, "spines", "exam01")
    add_exam(tmp_path, "spines", "exam02", vertebrae(23, 24, 25))
    prepare_spine_exams(tmp_path, tmp_path / "out", folds=2)
    lowest = discs_of(tmp_path / "out", "spines_exam01")[25]
    assert lowest["extrapolated"] is True
    np.testing.assert_allclose(lowest["position"], [12, -29, -89.5], atol=1.5)
    assert "extrapolated" not in discs_of(tmp_path / "out", "spines_exam02")[25]


def test_masks_of_discs_give_their_tips_or_centers(tmp_path: Path) -> None:
    mask = np.zeros((60, 60, 7), dtype=np.uint8)
    mask[20:26, 10:40, 2:5] = 24
    mask[45:51, 10:40, 2:5] = 25
    add_exam(tmp_path, "discs", "exam01", mask, "discseg", "T1w")
    prepare_spine_exams(tmp_path, tmp_path / "tips", folds=2)
    prepare_spine_exams(tmp_path, tmp_path / "centers", folds=2, point="center")
    tips, centers = (discs_of(tmp_path / folder, "discs_exam01") for folder in ("tips", "centers"))
    np.testing.assert_allclose(tips[24]["position"], [12, -38.5, -22.5], atol=1)
    np.testing.assert_allclose(centers[24]["position"], [12, -24.5, -22.5], atol=0.1)
    assert list(tips) == list(centers) == [24, 25]


def test_folds_are_assigned_by_person_and_spread_over_the_folders(tmp_path: Path) -> None:
    for number in range(6):
        add_exam(tmp_path, "many", f"exam{number:02}")
    add_exam(tmp_path, "many", "exam03_iso")
    ((folder, copy), original) = next(iter(SAME_PERSON.items()))
    for exam in (copy, original, "exam90", "exam91"):
        add_exam(tmp_path, folder, exam, contrast="FFE")
    content = prepare_spine_exams(tmp_path, tmp_path / "out", folds=3, seed=1)
    fold_of = {Path(case["label"]).name.removesuffix("_discs.json"): case["fold"] for case in content["training"]}
    assert fold_of["many_exam03"] == fold_of["many_exam03_iso"]
    assert fold_of[f"{folder}_{copy}"] == fold_of[f"{folder}_{original}"]
    assert Counter(fold for name, fold in fold_of.items() if name.startswith("many") and "iso" not in name) == {
        0: 2,
        1: 2,
        2: 2,
    }
    assert {fold for name, fold in fold_of.items() if name.startswith(folder)} == {0, 1, 2}
    assert prepare_spine_exams(tmp_path, tmp_path / "out", folds=3, seed=1) == content
    assert prepare_spine_exams(tmp_path, tmp_path / "out", folds=3, seed=2) != content


def test_the_template_is_always_trained_with(tmp_path: Path) -> None:
    for exam in ("exam01", "exam02"):
        add_exam(tmp_path, "spines", exam)
    label = np.zeros((10, 12, 40), dtype=np.uint8)
    label[5, 3, [30, 20]] = 3, 4
    write_nifti(tmp_path / "template" / TEMPLATE[0], label)
    prepare_spine_exams(tmp_path, tmp_path / "other", folds=2)
    assert not (tmp_path / "other" / "labels" / "template_template_discs.json").exists()
    write_nifti(tmp_path / "template" / TEMPLATE[1], label)
    prepare_spine_exams(tmp_path, tmp_path / "out", folds=2)
    discs = discs_of(tmp_path / "out", "template_template")
    assert [discs[value]["position"] for value in (3, 4)] == [[5, 3, 30], [5, 3, 20]]
    for fold in range(2):
        training = select_cases(tmp_path / "out", "training", fold=fold)
        assert [case["subset"] for case in training].count("template") == 1
        assert len(select_cases(tmp_path / "out", "validation", fold=fold)) == 1
    content = prepare_spine_exams(tmp_path, tmp_path / "centers", folds=2, point="center")
    assert all(case["subset"] == "spines" for case in content["training"])


def test_the_datalist_names_files_that_are_there(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        add_exam(tmp_path, folder, "exam01")
    prepare_spine_exams(tmp_path, tmp_path / "out", folds=2)
    cases = load_datalist(tmp_path / "out")["training"]
    assert [case["case"] for case in cases] == ["a_exam01_T2w", "b_exam01_T2w"]
    assert all(Path(case["image"]).is_file() and Path(case["label"]).is_file() for case in cases)
    assert [(case["subset"], case["complete"]) for case in cases] == [("a", False), ("b", False)]


@pytest.mark.parametrize("exam", ["exam1", "exam1_iso"])
def test_exams_whose_names_in_the_datalist_would_be_the_same_are_refused(exam: str, tmp_path: Path) -> None:
    add_exam(tmp_path, "lumbar", f"t1_{exam}")
    add_exam(tmp_path, "lumbar_t1", "exam1")
    with pytest.raises(DatalistError, match=rf"lumbar/t1_{exam} and lumbar_t1/exam1 would have the same name"):
        prepare_spine_exams(tmp_path, tmp_path / "out", folds=2)
    assert not (tmp_path / "out").exists()


def test_unusable_folders_and_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"holds no <folder>/<exam>_discseg\.nii\.gz"):
        prepare_spine_exams(tmp_path, tmp_path / "out")
    for options in ({"point": "front"}, {"folds": 1}, {"numbering": "own"}):
        with pytest.raises(
            DatalistError, match=r"point must be posterior or center and folds 2 or more.* sct, verse, "
        ):
            prepare_spine_exams(tmp_path, tmp_path / "out", **options)  # type: ignore[arg-type]


def test_without_an_exam_that_can_be_used_nothing_is_written(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in" / "a" / "exam01_vertebraseg.nii.gz", vertebrae(23, 24))
    with pytest.raises(
        DatalistError, match=r"none of the 1 exams can be used; the first: .*exam01_vertebraseg\.nii\.gz"
    ):
        prepare_spine_exams(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def skipped_of(root: Path, **options: Any) -> dict[str, str]:
    """Return error and message of the only skipped one of two exams."""
    add_exam(root / "in", "spines", "exam01", vertebrae(22, 23, 24))
    content = prepare_spine_exams(root / "in", root / "out", folds=2, **options)
    assert [Path(case["image"]).name for case in content["training"]] == ["exam01_T2w.nii.gz"]
    assert json.loads((root / "out" / "dataset.json").read_text()) == content
    (skipped,) = content["skipped"]
    assert skipped["case"] == "spines_exam02"
    assert "exam02" in skipped["message"]
    return skipped


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (vertebrae(23, 24, 26), r"holds the values 26, .* pass --numbering verse\."),
        (vertebrae(19, 28, 20), r"holds the values 28, .* pass --numbering verse\."),
        (vertebrae(22, 23) + np.int16(256) * (vertebrae(22, 23) > 0), r"holds the values 278, 279"),
        (vertebrae(23, 24) * np.float32(0.9), r"holds the values 20\.7, 21\.6, and fractions are no labels"),
        (vertebrae(), r"is empty"),
        (vertebrae(22, 25), r"has no disc between two vertebrae"),
        (vertebrae(24, 23, 22), r"has L4-L5 above L3-L4, .*check the orientation of the mask, and its numbering"),
    ],
)
def test_an_exam_with_other_values_is_skipped_by_name(tmp_path: Path, mask: np.ndarray, message: str) -> None:
    add_exam(tmp_path / "in", "spines", "exam02", mask)
    skipped = skipped_of(tmp_path)
    assert skipped["error"] == "LabelValuesError"
    assert re.search(message, skipped["message"])


def test_an_exam_whose_mask_lies_elsewhere_is_skipped(tmp_path: Path) -> None:
    for number, moved in enumerate((np.diag([1, 1, 1, 1]), np.diag([1, 1, 1.5, 1]))):
        root = tmp_path / str(number)
        affine = moved @ DOWN_BACK_RIGHT
        affine[2, 3] += 120 * (number == 0)
        add_exam(root / "in", "spines", "exam02")
        write_nifti(root / "in" / "spines" / "exam02_vertebraseg.nii.gz", vertebrae(22, 23, 24), affine)
        assert skipped_of(root)["error"] == "GridMismatchError"


def test_an_axis_of_size_1_is_in_image_and_mask_or_in_neither(tmp_path: Path) -> None:
    mask = vertebrae(22, 23, 24)
    add_exam(tmp_path / "in", "spines", "exam02", mask[..., None])
    content = prepare_spine_exams(tmp_path / "in", tmp_path / "out", folds=2)
    assert len(content["training"]) == 1
    write_nifti(tmp_path / "in" / "spines" / "exam02_T2w.nii.gz", mask, DOWN_BACK_RIGHT)
    skipped = skipped_of(tmp_path)
    assert skipped["error"] == "GridMismatchError"
    assert "has the shape (170, 60, 7, 1), its image" in skipped["message"]


def test_an_exam_whose_files_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    for kind in ("vertebraseg", "T2w"):
        root = tmp_path / kind
        add_exam(root / "in", "spines", "exam02")
        file = root / "in" / "spines" / f"exam02_{kind}.nii.gz"
        file.write_bytes(file.read_bytes()[:200])
        assert skipped_of(root)["error"] == "UnreadableFileError"
    root = tmp_path / "alone"
    add_exam(root / "in", "spines", "exam02")
    (root / "in" / "spines" / "exam02_T2w.nii.gz").unlink()
    assert "has no image in the same folder; add one of exam02_T2w.nii.gz, exam02_T1w" in skipped_of(root)["message"]


def test_a_template_whose_points_lie_elsewhere_is_skipped(tmp_path: Path) -> None:
    add_exam(tmp_path / "in", "spines", "exam01")
    label = np.zeros((10, 12, 40), dtype=np.uint8)
    label[5, 3, [30, 20]] = 3, 4
    write_nifti(tmp_path / "in" / "template" / TEMPLATE[0], label)
    write_nifti(tmp_path / "in" / "template" / TEMPLATE[1], label, np.diag([1, 1, 2, 1]))
    (skipped,) = prepare_spine_exams(tmp_path / "in", tmp_path / "out", folds=2)["skipped"]
    assert skipped["error"] == "GridMismatchError"
    assert "label_discPosterior.nii.gz: C2-C3 lie outside of the image" in skipped["message"]


@pytest.mark.parametrize(
    ("numbering", "values"),
    [("verse", (23, 24, 26)), ("totalspineseg", (44, 45, 50)), ("spider", (2, 1)), ("sct", (23, 24, 25))],
)
def test_masks_of_other_numberings_give_the_same_discs(
    tmp_path: Path, numbering: MaskNumbering, values: tuple[int, ...]
) -> None:
    add_exam(tmp_path / "in", "spines", "exam01", vertebrae(*values))
    prepare_spine_exams(tmp_path / "in", tmp_path / "out", folds=2, numbering=numbering)
    discs = discs_of(tmp_path / "out", "spines_exam01")
    assert list(discs) == [24, 25]


def test_spines_with_a_sixth_lumbar_vertebra_have_its_discs(tmp_path: Path) -> None:
    add_exam(tmp_path / "in", "spines", "exam02", vertebrae(23, 24, 25, 26))
    prepare_spine_exams(tmp_path / "in", tmp_path / "out", folds=2, numbering="verse")
    assert list(discs_of(tmp_path / "out", "spines_exam02")) == [24, 245, 255]


def test_spines_with_a_seventh_lumbar_vertebra_are_skipped(tmp_path: Path) -> None:
    add_exam(tmp_path / "in", "spines", "exam02", vertebrae(45, 46, 47))
    assert "holds L7 (47), for which there is no number" in skipped_of(tmp_path, numbering="totalspineseg")["message"]


def test_files_of_other_formats_and_in_upper_case_are_found(tmp_path: Path) -> None:
    add_exam(tmp_path / "in", "spines", "exam01")
    mask = vertebrae(22, 23, 24)
    write_nifti(tmp_path / "in" / "spines" / "exam02_T2W.NII", mask, DOWN_BACK_RIGHT)
    write_nifti(tmp_path / "in" / "spines" / "EXAM02_VertebraSeg.nii.gz", mask, DOWN_BACK_RIGHT)
    content = prepare_spine_exams(tmp_path / "in", tmp_path / "out", folds=2)
    assert len(content["training"]) == 2
    assert "skipped" not in content


def test_files_that_are_not_used_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_exam(tmp_path / "in", "spines", "exam01")
    add_exam(tmp_path / "in", "spines", "exam01", vertebrae(23, 24), "discseg", "T1w")
    write_nifti(tmp_path / "in" / "spines" / "exam03_FFE.nii.gz", vertebrae(), DOWN_BACK_RIGHT)
    (tmp_path / "in" / "spines" / "exam04_discseg.mgz").touch()
    content = prepare_spine_exams(tmp_path / "in", tmp_path / "out", folds=2)
    assert list(discs_of(tmp_path / "out", "spines_exam01")) == [23, 24]
    assert len(content["training"]) == 1
    for name in ("exam01_vertebraseg.nii.gz", "exam01_T1w.nii.gz", "exam03_FFE.nii.gz"):
        assert f"{name}: skipped, since it has no mask of its exam, or the exam has another one" in caplog.text
    assert "exam04_discseg.mgz: skipped, since its format is not read" in caplog.text


@pytest.mark.real_data
def test_all_real_exams_get_their_points(tmp_path: Path, shared_data: Path) -> None:
    content = prepare_spine_exams(shared_data / "spine", tmp_path)
    assert len(content["training"]) == 23
    names = {Path(case["label"]).name for case in content["training"]}
    assert {"lumbar_t2_discs_exam11_iso_discs.json", "template_t2_whole_spine_template_discs.json"} < names
    given = json.loads((shared_data / "spine/lumbar_t2_discs/exam20_discs.json").read_text())["discs"]
    found = discs_of(tmp_path, "lumbar_t2_discs_exam20")
    for disc in given:
        down, back, right = disc["posterior_voxel"]
        assert np.linalg.norm(np.array(found[disc["value"]]["position"]) - [4 * right, -back, -down]) < 4.5


def test_points_are_in_mm_whatever_the_unit_of_the_mask(tmp_path: Path) -> None:
    add_exam(tmp_path, "spines", "exam01")
    mask = tmp_path / "spines" / "exam01_vertebraseg.nii.gz"
    affine = np.diag([1e-3, 1e-3, 1e-3, 1]) @ DOWN_BACK_RIGHT
    write_nifti(mask, vertebrae(22, 23, 24), affine, header={"xyzt_units": 1})
    prepare_spine_exams(tmp_path, tmp_path / "out", folds=2)
    np.testing.assert_allclose(discs_of(tmp_path / "out", "spines_exam01")[23]["position"], [12, -29, -33.5], atol=1.5)
