"""The shipped weights for skin lesions and cells on real images that they have not seen, and on strange ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.image_cases import draw_skin
from monai.bundle import create_workflow
from PIL import Image

from bundle import ROOT

TASKS = {
    "lesion_segmentation": ("isic2017/segmentation", "isic2017_masks_split.json", "lesion"),
    "cell_segmentation": ("segpc2021", "segpc2021_split.json", "cell"),
}
"""Folder of the data, committed split and structure of a task."""

Statistics = Callable[[str], dict]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("model")]


@pytest.fixture(scope="module")
def statistics(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Statistics:
    """Evaluate the weights of a task on the validation images of its split, once."""
    known: dict[str, dict] = {}

    def judged(task: str) -> dict:
        if task not in known:
            folder, split, _ = TASKS[task]
            output = tmp_path_factory.mktemp(task)
            create_workflow(
                config_file=str(Path(ROOT, "configs", task, "evaluate.json")),
                workflow_type="infer",
                logging_file=False,
                dataset_dir=str(shared_data / folder),
                datalist=str(Path(ROOT, "configs", "datasets", split)),
                split="validation",
                output_dir=str(output),
                device="cpu",
            ).run()
            known[task] = json.loads((output / "metrics.json").read_text())
        return known[task]

    return judged


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("task", "metric", "bar"),
    [
        ("lesion_segmentation", "dice", 0.865),
        ("lesion_segmentation", "jaccard", 0.785),
        ("cell_segmentation", "mean_iou", 0.75),
    ],
)
def test_unseen_images_are_above_the_bar(task: str, metric: str, bar: float, statistics: Statistics) -> None:
    assert statistics(task)["per_image"][TASKS[task][2]][metric]["mean"] >= bar


@pytest.mark.real_data
@pytest.mark.parametrize("task", TASKS)
def test_the_metadata_has_the_measured_metrics(task: str, statistics: Statistics) -> None:
    measured = json.loads(Path(ROOT, "configs", task, "metadata.json").read_text())["eval_metrics"]["structures"]
    for way, center in (("per_image", "mean"), ("pooled", "value")):
        for metric, values in measured[way.replace("_", " ")].items():
            found = statistics(task)[way][TASKS[task][2]][metric][center]
            assert found == pytest.approx(values["value"], abs=2e-3), f"{way} {metric}"


def segment(folder: Path, output: Path) -> dict[str, np.ndarray]:
    """Return the masks of all images of a folder by the shipped weights."""
    create_workflow(
        config_file=str(Path(ROOT, "configs", "lesion_segmentation", "inference.json")),
        workflow_type="infer",
        logging_file=False,
        input=str(folder),
        output_dir=str(output),
        device="cpu",
    ).run()
    return {path.name.removesuffix("_seg.png"): np.asarray(Image.open(path)) > 0 for path in output.glob("*_seg.png")}


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def test_size_and_kind_of_a_file_hardly_matter(tmp_path: Path) -> None:
    """A drawn lesion as color, gray, with a transparent layer, turned by EXIF, large and narrow."""
    pixels, mask = draw_skin(300, 400, seed=3)
    inside, image = mask > 0, Image.fromarray(pixels)
    source = tmp_path / "in"
    source.mkdir()
    image.save(source / "color.png")
    image.convert("L").save(source / "gray.png")
    image.convert("RGBA").save(source / "transparent.png")
    image.resize((1600, 1200)).save(source / "large.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(source / "turned.jpg", exif=exif)
    found = segment(source, tmp_path / "out")
    assert {name: of.shape for name, of in found.items() if name != "large"} == {
        **dict.fromkeys(("color", "gray", "transparent"), (300, 400)),
        "turned": (400, 300),
    }
    assert found["large"].shape == (1200, 1600)
    assert dice(found["color"], inside) > 0.85
    for name, of in (
        ("gray", found["gray"]),
        ("transparent", found["transparent"]),
        ("large", found["large"][2::4, 2::4]),
        ("turned", np.rot90(found["turned"], -1)),
    ):
        assert dice(of, found["color"]) > 0.9, name
