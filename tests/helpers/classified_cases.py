"""Small images of skin with classes, and running the configs of their classification at a size for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.image_cases import write_lesions
from helpers.options import known_options
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.data.classified_images import prepare_classified_folder
from bundle.data.datalist_file import write_datalist

CLASSES = ("melanoma", "seborrheic_keratosis")

SMALL = {
    "network_def#width": 0.0625,
    "image_size": [48, 64],
    "roi_size": [32, 32],
    "crop_scales": [0.8],
    "device": "cpu",
}
"""Overrides under which a workflow takes seconds."""


def write_classified(
    folder: Path, count: int, *, classes: tuple[str, ...] = CLASSES, test_share: float = 0.0, folds: int = 2
) -> Path:
    """Write ``images/lesion<k>.png``, ``labels.csv`` and ``dataset.json`` with folds from 0 on; return the folder.

    Of the images, every third is of the first class, every third of the second, and every third of the last of more
    than two classes, or of none.
    """
    write_lesions(folder, count)
    rows = [
        f"lesion{number}," + ",".join(str(int(place == min(number % 3, 2))) for place in range(len(classes)))
        for number in range(count)
    ]
    (folder / "labels.csv").write_text("\n".join([f"image_id,{','.join(classes)}", *rows]) + "\n", encoding="utf-8")
    content = prepare_classified_folder(folder, classes=classes, test_share=test_share, folds=folds)
    write_datalist(content, folder / "dataset.json")
    return folder


def make_classification(name: str, **overrides: Any) -> Any:
    """Create a workflow of the classification at test size."""
    file = str(Path(ROOT, "configs", "lesion_classification", f"{name}.json"))
    return create_workflow(
        config_file=file,
        workflow_type="train" if name == "train" else "infer",
        logging_file=False,
        **{**known_options(file, SMALL), **overrides},
    )


def run_classification(name: str, **overrides: Any) -> Any:
    """Run a workflow of the classification at test size; raises SystemExit when images were skipped."""
    workflow = make_classification(name, **overrides)
    workflow.run()
    workflow.finalize()
    return workflow
