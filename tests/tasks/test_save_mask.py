"""SaveMaskd writes masks at the size and in the orientation of their image, with measurements and provenance."""

from __future__ import annotations

import csv
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Resize
from PIL import Image, ImageOps

from bundle.inference import BackgroundWriter, CaseRecord, CompletedCases
from bundle.io import LoadColorImaged
from bundle.io.images import EXIF_ORIENTATION, read_mask
from bundle.io.input_checks import GridMismatchError
from bundle.tasks.images import RestoreImageSized, SaveMaskd

SIZE = (30, 48)
PIXELS = np.stack(np.broadcast_arrays(8 * np.arange(30)[:, None], 5 * np.arange(48), 120), axis=2).astype(np.uint8)
BOX = (slice(5, 20), slice(10, 40))


def probability() -> torch.Tensor:
    values = torch.full((1, *SIZE), 0.1)
    values[0][BOX] = 0.8
    return values


@pytest.fixture
def case(tmp_path: Path) -> dict[str, Any]:
    Image.fromarray(PIXELS).save(tmp_path / "ISIC_0000001.png")
    return LoadColorImaged("image")({"image": str(tmp_path / "ISIC_0000001.png")})


def save(case: dict[str, Any], folder: Path, pred: torch.Tensor | None = None, **options: Any) -> dict[str, Any]:
    transform = SaveMaskd("pred", **{"label_names": {"lesion": 1}, "output_dir": folder / "out", **options})
    return transform({**case, "pred": probability() if pred is None else pred})


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def test_mask_and_probability_are_gray_pngs_of_the_size_of_the_image(case: dict[str, Any], tmp_path: Path) -> None:
    save(case, tmp_path)
    expected = np.zeros(SIZE, np.uint8)
    expected[BOX] = 255
    np.testing.assert_array_equal(pixels_of(tmp_path / "out" / "ISIC_0000001_seg.png"), expected)
    values = pixels_of(tmp_path / "out" / "ISIC_0000001_probability.png")
    np.testing.assert_array_equal(values, np.where(expected, 204, 26))
    with Image.open(tmp_path / "out" / "ISIC_0000001_overlay.jpg") as drawn:
        assert drawn.size == SIZE[::-1]
        outside = np.asarray(drawn.convert("RGB")).astype(int)[24:] - PIXELS[24:]
    assert np.abs(outside).mean() < 3


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_mask_has_the_orientation_of_its_image(orientation: int, tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    case = LoadColorImaged("image")({"image": str(tmp_path / "a.png")})
    shape = case["image"].shape[1:]
    pred = torch.zeros(1, *shape)
    pred[:, 2:12, 3:9] = 1
    save(case, tmp_path, pred)
    with Image.open(tmp_path / "out" / "a_seg.png") as mask:
        assert mask.size == image.size
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(mask)), pred[0].numpy() * 255)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a_seg.png").pixels, pred[0].numpy())
    with Image.open(tmp_path / "out" / "a_overlay.jpg") as drawn:
        assert drawn.size == tuple(shape[::-1])


def test_the_table_and_the_json_have_area_box_and_border(case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    case["record"] = CaseRecord("ISIC_0000001", started=time.perf_counter())
    record = save(case, tmp_path, checkpoint=tmp_path / "model.pt")["record"].to_json()
    assert json.loads((tmp_path / "out" / "ISIC_0000001.json").read_text()) == record
    lesion = record["labels"]["lesion"]
    assert (lesion["area_px"], lesion["area_share"], lesion["box"]) == (450, 0.3125, [10, 5, 30, 15])
    assert (lesion["regions"], lesion["border_irregularity"], lesion["mean_probability"]) == (1, 1, 0.8)
    assert record["shape"] == [30, 48]
    assert record["threshold"] == 0.5
    assert record["checkpoint"]["path"] == str(tmp_path / "model.pt")
    assert record["seconds"] >= 0
    assert sorted(record["files"]) == sorted(
        f"ISIC_0000001_{name}" for name in ("seg.png", "probability.png", "overlay.jpg")
    )
    with open(tmp_path / "out" / "images.csv", newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["case"], row["structure"], row["width"], row["height"]) == ("ISIC_0000001", "lesion", "48", "30")
    assert (row["area_percent"], row["box_x"], row["box_height"]) == ("31.25", "10", "15")


def test_an_empty_result_has_no_undefined_numbers(case: dict[str, Any], tmp_path: Path) -> None:
    record = save(case, tmp_path, torch.zeros(1, *SIZE))["record"].to_json()
    lesion = record["labels"]["lesion"]
    assert (lesion["area_px"], lesion["box"], lesion["border_irregularity"], lesion["mean_probability"]) == (
        0,
        None,
        None,
        None,
    )
    assert "NaN" not in (tmp_path / "out" / "ISIC_0000001.json").read_text()
    assert not pixels_of(tmp_path / "out" / "ISIC_0000001_seg.png").any()


def test_several_classes_have_their_levels_and_maps(case: dict[str, Any], tmp_path: Path) -> None:
    pred = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0)).softmax(0)
    names = {"cytoplasm": 1, "nucleus": 2}
    record = save(case, tmp_path, pred, label_names=names, levels=[128, 255], outputs={"postfix": "segmentation"})[
        "record"
    ].to_json()
    classes = pred.argmax(0).numpy()
    written = pixels_of(tmp_path / "out" / "ISIC_0000001_segmentation.png")
    np.testing.assert_array_equal(written, np.array([0, 128, 255])[classes])
    nucleus = pixels_of(tmp_path / "out" / "ISIC_0000001_probability_nucleus.png")
    np.testing.assert_array_equal(nucleus, np.round(pred[2].numpy() * 255))
    assert record["labels"]["nucleus"]["area_px"] == (classes == 2).sum()
    assert record["threshold"] is None


def test_threshold_and_single_region(case: dict[str, Any], tmp_path: Path) -> None:
    pred = probability()
    pred[0, 8:10, 15:20] = 0.3
    pred[0, 25, 3] = 0.9
    record = save(case, tmp_path, pred, decision={"threshold": 0.25})["record"].to_json()
    assert (record["labels"]["lesion"]["area_px"], record["labels"]["lesion"]["regions"]) == (451, 2)
    record = save(case, tmp_path, pred, decision={"single_region": "true"})["record"].to_json()
    assert (record["labels"]["lesion"]["area_px"], record["labels"]["lesion"]["regions"]) == (450, 1)


def test_touching_objects_are_numbered_measured_and_drawn(case: dict[str, Any], tmp_path: Path) -> None:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    disks = [(rows - 15) ** 2 + (columns - center) ** 2 < 9**2 for center in (14, 30)]
    pred = torch.as_tensor(disks[0] | disks[1])[None].float()
    record = save(case, tmp_path, pred, outputs={"objects": "true"})["record"].to_json()
    objects = record["objects"]
    assert (objects["count"], objects["median_area_px"]) == (2, pytest.approx(float(pred.sum()) / 2, abs=10))
    assert [each["object"] for each in objects["measured"]] == [1, 2]
    with Image.open(tmp_path / "out" / "ISIC_0000001_objects.png") as image:
        numbers = np.asarray(image)
    assert sorted(np.unique(numbers).tolist()) == [0, 1, 2]
    assert np.array_equal(numbers > 0, pred[0].numpy() > 0)
    with open(tmp_path / "out" / "objects.csv", newline="", encoding="utf-8") as stream:
        first, second = csv.DictReader(stream)
    assert (first["case"], first["object"], second["object"]) == ("ISIC_0000001", "1", "2")
    assert float(first["center_x"]) == pytest.approx(14, abs=1)
    assert float(second["center_y"]) == pytest.approx(15, abs=0.5)
    assert int(first["box_x"]) == 6
    drawn = np.asarray(Image.open(tmp_path / "out" / "ISIC_0000001_overlay.jpg"))
    assert drawn[15, 22].min() > 150
    empty = save(case, tmp_path, torch.zeros(1, *SIZE), outputs={"objects": True})["record"].to_json()
    assert empty["objects"] == {"count": 0, "median_area_px": None, "measured": []}


def test_with_a_reference_the_overlay_shows_false_negatives(case: dict[str, Any], tmp_path: Path) -> None:
    save(case, tmp_path / "alone")
    label = MetaTensor(probability().flip(2) > 0.5)
    save({**case, "label": label}, tmp_path / "compared")
    drawn = [
        np.asarray(Image.open(tmp_path / name / "out" / "ISIC_0000001_overlay.jpg")) for name in ("alone", "compared")
    ]
    assert not np.array_equal(*drawn)


def test_outputs_can_be_turned_off(case: dict[str, Any], tmp_path: Path) -> None:
    save(case, tmp_path, outputs={"probability": False, "overlay": "false"})
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "ISIC_0000001.json",
        "ISIC_0000001_seg.png",
        "images.csv",
    ]


def test_a_writer_writes_the_same_in_its_thread(case: dict[str, Any], tmp_path: Path) -> None:
    writer = BackgroundWriter()
    result = save(case, tmp_path, writer=writer)
    writer.finish()
    assert (result["record"].case, result["record"].status) == ("ISIC_0000001", "completed")
    assert (tmp_path / "out" / "ISIC_0000001_seg.png").is_file()


def test_a_later_run_finds_the_completed_image(case: dict[str, Any], tmp_path: Path) -> None:
    completed = CompletedCases(tmp_path / "out", enabled=True)
    item = {"case": "ISIC_0000001", "image": str(tmp_path / "ISIC_0000001.png")}
    record = CaseRecord(item["case"], provenance=completed.provenance(item["image"]))
    save({**case, "record": record}, tmp_path)
    assert completed.find(item) is not None
    (tmp_path / "out" / "ISIC_0000001_seg.png").unlink()
    assert completed.find(item) is None


def test_the_size_of_the_file_is_restored(case: dict[str, Any]) -> None:
    small = {
        **case,
        "image": Resize((20, 20))(case["image"]),
        "pred": torch.rand(2, 20, 20),
        "other": torch.rand(1, *SIZE),
    }
    (batch,) = decollate_batch(list_data_collate([small]))
    back = RestoreImageSized(["pred", "other"])(batch)
    expected = torch.nn.functional.interpolate(small["pred"][None], size=SIZE, mode="bilinear")[0]
    torch.testing.assert_close(back["pred"].as_tensor(), expected, atol=1e-5, rtol=0)
    assert torch.equal(back["other"].as_tensor(), small["other"])
    assert back["pred"].meta["filename_or_obj"] == case["image"].meta["filename_or_obj"]
    assert RestoreImageSized("absent", allow_missing_keys=True)(case).keys() == case.keys()


def test_results_of_another_size_or_number_of_channels_are_refused(case: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(GridMismatchError, match="add RestoreImageSized before"):
        save(case, tmp_path, torch.zeros(1, 20, 20))
    with pytest.raises(ValueError, match="has 2 channels of results, 1 are expected"):
        save(case, tmp_path, torch.zeros(2, *SIZE))
    with pytest.raises(GridMismatchError, match=r"\(20, 20\)"):
        save({**case, "label": torch.zeros(1, 20, 20)}, tmp_path)


def test_invalid_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every class needs a level"):
        SaveMaskd("pred", label_names={"a": 1, "b": 2}, output_dir=tmp_path)
    with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\)"):
        SaveMaskd("pred", label_names={"a": 1}, output_dir=tmp_path, decision={"threshold": math.inf})
    with pytest.raises(ValueError, match="outputs must be one of postfix, probability, overlay, objects, got 'table'"):
        SaveMaskd("pred", label_names={"a": 1}, output_dir=tmp_path, outputs={"table": False})
    assert SaveMaskd("pred", label_names={"a": 1}, output_dir=tmp_path, allow_missing_keys=True)({"a": 1}) == {"a": 1}
