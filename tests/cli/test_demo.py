"""The demo: the errors, and as a whole with the shipped weights on the MNI152 template."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from bundle.cli import demo as demo_module
from bundle.cli.demo import DemoError, load_template, run_demo, segment
from bundle.cli.main import main

TEMPLATE = [
    pytest.mark.slow,
    pytest.mark.xdist_group("demo"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

VALUES = {"left": (11, 12), "right": (21, 22)}


@pytest.fixture
def _small_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "load_template", lambda: nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)))


def set_run(monkeypatch: pytest.MonkeyPatch, status: int, **files: Any) -> None:
    """Replace the inference by one that writes JSON files to the output folder and ends with a status."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess:
        for name, content in files.items():
            Path(command[-1], f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(demo_module.subprocess, "run", run)


@pytest.mark.usefixtures("_small_template")
class TestErrors:
    def test_a_template_that_is_skipped_is_an_error_with_the_message_of_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_run(monkeypatch, 2, summary={"failed": [{"message": "x.nii.gz: neither left nor right was found."}]})
        with pytest.raises(DemoError, match="neither left nor right was found"):
            run_demo(tmp_path)

    def test_a_side_that_is_missing_is_an_error_with_the_remarks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        results = {"volumes_mm3": {"left": {"total": 3.0}}, "remarks": ["right was not found"]}
        set_run(monkeypatch, 0, mni152_t1=results)
        with pytest.raises(DemoError, match=r"no right hippocampus was found \(remarks: right was not found\)"):
            run_demo(tmp_path)

    def test_weights_that_are_not_used_with_the_finder_are_an_error_on_the_command_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        set_run(monkeypatch, 0, mni152_t1={"remarks": []})
        with caplog.at_level(logging.ERROR):
            assert main(["demo", "--output_dir", str(tmp_path)]) == 2
        assert "no left and no right hippocampus was found (remarks: none)" in caplog.text
        assert "model_plausibility.json" in caplog.text

    def test_an_inference_that_fails_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        set_run(monkeypatch, 1)
        with pytest.raises(subprocess.CalledProcessError):
            segment(tmp_path / "x.nii.gz", tmp_path)


@pytest.mark.usefixtures("_small_template")
def test_volumes_asymmetry_and_files_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    volumes = {"left": {"anterior": 2.0, "total": 2.0}, "right": {"anterior": 1.0, "total": 1.0}}
    asymmetry = {"anterior": 66.67, "total": 66.67}
    set_run(monkeypatch, 0, mni152_t1={"volumes_mm3": volumes, "asymmetry_percent": asymmetry, "remarks": []})
    with caplog.at_level(logging.INFO):
        assert run_demo(tmp_path) == volumes
    assert "right hippocampus: anterior 1 mm3, total 1 mm3" in caplog.text
    assert "anterior +66.7 %, total +66.7 %" in caplog.text
    for name in ("mni152_t1_seg.nii.gz", "mni152_t1_overlay.png", "mni152_t1.json"):
        assert str(tmp_path / name) in caplog.text
    assert (tmp_path / "image" / "mni152_t1.nii.gz").is_file()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(folder)


class TestTemplate:
    pytestmark = TEMPLATE

    def test_both_hippocampi_have_the_volume_of_a_healthy_adult(
        self, demo: tuple[Path, dict[str, dict[str, float]]]
    ) -> None:
        """3 to 5 cm3 a side in the template, which is larger than most brains; the two differ by less than 15 %."""
        folder, volumes = demo
        left, right = (volumes[side]["total"] for side in ("left", "right"))
        assert 3000 < left < 5000
        assert 3000 < right < 5000
        asymmetry = json.loads((folder / "mni152_t1.json").read_text(encoding="utf-8"))["asymmetry_percent"]["total"]
        assert asymmetry == pytest.approx(200 * (left - right) / (left + right), abs=0.01)
        assert abs(asymmetry) < 15

    def test_the_label_map_lies_on_the_grid_of_the_template(
        self, demo: tuple[Path, dict[str, dict[str, float]]]
    ) -> None:
        folder, volumes = demo
        result, template = nib.load(folder / "mni152_t1_seg.nii.gz"), load_template()
        assert result.shape == template.shape
        np.testing.assert_array_equal(result.affine, template.affine)
        assert result.get_data_dtype() == np.uint8
        labels = np.asarray(result.dataobj)
        assert set(np.unique(labels)) == {0, 11, 12, 21, 22}
        for side, values in VALUES.items():
            counts = [int((labels == value).sum()) for value in values]
            assert counts == [volumes[side]["anterior"], volumes[side]["posterior"]]

    def test_each_side_is_one_piece_with_the_anterior_part_in_front(
        self, demo: tuple[Path, dict[str, dict[str, float]]]
    ) -> None:
        folder, _ = demo
        result = nib.load(folder / "mni152_t1_seg.nii.gz")
        labels = np.asarray(result.dataobj)
        for (side, values), sign in zip(VALUES.items(), (-1, 1), strict=True):
            mask = np.isin(labels, values)
            x = result.affine[0, 3] + np.argwhere(mask)[:, 0] * result.affine[0, 0]
            assert (np.sign(x) == sign).all(), f"{side} is on its side of the head"
            assert ndimage.label(mask)[1] == 1, f"{side} is one piece"
            anterior, posterior = (np.argwhere(labels == value).mean(0) for value in values)
            assert anterior[1] - posterior[1] > 10
            for value in values:
                part, _ = ndimage.label(labels == value)
                assert np.bincount(part.ravel())[1:].max() / (labels == value).sum() > 0.95, "labels are not mixed"

    def test_the_overlay_is_an_image(self, demo: tuple[Path, dict[str, dict[str, float]]]) -> None:
        folder, _ = demo
        with Image.open(folder / "mni152_t1_overlay.png") as image:
            assert min(image.size) > 500
