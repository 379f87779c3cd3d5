"""What a message tells the user to set exists, and setting it helps."""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.dicom_files import write_frames
from helpers.phantoms import write_nifti
from monai.bundle.config_parser import ConfigParser
from PIL import Image

from bundle import ROOT
from bundle.cli import main as commands
from bundle.data import DatalistError, select_cases
from bundle.io import LoadVolumed, split_frames
from bundle.io.input_checks import BadInputError

CONFIGS = Path(ROOT, "configs")
NAMED = re.compile(r"--([a-z][a-z_#]+)|\b(?:set|widen|pass) ([a-z]+(?:_[a-z]+)+(?:#\w+)?)|\bor ([a-z]+_[a-z]+) to true")
ELSEWHERE = {
    *("nproc_per_node", "standalone"),  # torchrun
    *("args_file", "logging_file", "bundle_root"),  # monai.bundle
    *("group_normnumber", "layer_order", "model", "se", "se_", "use_spatial_attention"),  # the original project
    "threads",  # keyslice-run
    *("app", "conf", "host", "port", "uvicorn_app", "studies"),  # MONAI Label
    *("id", "no"),  # parts of sentences: --id VALUE stands for any id
}
"""Options of other programs, which messages name as well."""


def texts() -> Iterator[tuple[str, str]]:
    """Return every text of the package that is not a docstring, with its module."""
    for path in sorted(Path(ROOT, "bundle").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documented:
                yield path.name, node.value


def command_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from (option.lstrip("-") for option in action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from command_options(choice)


def config_ids() -> set[str]:
    found: set[str] = set()
    for path in CONFIGS.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        found |= set(content) | {
            f"{key}#{inner}" for key, value in content.items() if isinstance(value, dict) for inner in value
        }
    return found


def test_every_option_and_id_that_a_message_names_exists() -> None:
    known = config_ids() | set(command_options(commands.build_parser())) | ELSEWHERE
    unknown = {
        (module, name)
        for module, text in texts()
        for names in NAMED.findall(text)
        for name in names
        if name
        if name not in known
    }
    assert unknown == set()


def transforms(config: str, **overrides: Any) -> Any:
    """Return the deterministic transforms of a workflow."""
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / config))
    parser.update(overrides)
    name = "preprocessing" if "preprocessing" in parser.config else "train#deterministic_transforms"
    found = parser.get_parsed_content(name)
    return found.transforms[0] if name == "preprocessing" else found[0]


def assert_helps(config: str, case: dict[str, str], words: str, **remedy: Any) -> None:
    """Assert that a case is refused with these words, and read after the remedy."""
    with pytest.raises(BadInputError, match=words):
        transforms(config)(case)
    assert "label" in transforms(config, **remedy)(case) or "image" in case


IMAGE_CONFIGS = [
    f"{task}/{name}.json" for task in ("lesion_segmentation", "cell_segmentation") for name in ("train", "evaluate")
]
VOLUME_CONFIGS = ["train.json", "evaluate.json"]


def write_picture(root: Path, mask: np.ndarray, size: tuple[int, int] = (24, 32)) -> dict[str, str]:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / "a.png")
    Image.fromarray(mask).save(root / "m.png")
    return {"image": str(root / "a.png"), "label": str(root / "m.png")}


def mask(size: tuple[int, int] = (24, 32), *values: int) -> np.ndarray:
    found = np.zeros(size, np.uint8)
    for place, value in enumerate(values or (255,)):
        found[4 * place + 2 : 4 * place + 6, 4:20] = value
    return found


@pytest.mark.parametrize("config", IMAGE_CONFIGS)
class TestMasksOfImages:
    def test_smoothed_borders(self, config: str, tmp_path: Path) -> None:
        case = write_picture(tmp_path, mask((24, 32), 255, 90, 200))
        assert_helps(config, case, "or round_levels to true where they are smoothed borders", round_levels=True)

    def test_levels(self, config: str, tmp_path: Path) -> None:
        case = write_picture(tmp_path, mask((24, 32), 128, 255))
        assert_helps(config, case, "set levels to those of the classes", levels=[128, 255])

    def test_another_size(self, config: str, tmp_path: Path) -> None:
        case = write_picture(tmp_path, mask((12, 16)))
        assert_helps(config, case, "or set resize_mask to true", resize_mask=True)


@pytest.mark.parametrize("config", VOLUME_CONFIGS)
class TestVolumes:
    def write(self, root: Path, value: int = 1, spacing: float = 1.0) -> dict[str, str]:
        label = np.zeros((12, 12, 12), np.uint8)
        label[4:8, 4:8, 4:8] = value
        affine = np.diag([1.0, 1.0, spacing, 1.0])
        voxels = np.random.default_rng(0).normal(size=label.shape).astype(np.float32)
        return {
            "image": str(write_nifti(root / "a.nii.gz", voxels, affine)),
            "label": str(write_nifti(root / "l.nii.gz", label, affine)),
        }

    def test_thick_slices(self, config: str, tmp_path: Path) -> None:
        assert_helps(config, self.write(tmp_path, spacing=8), "or widen spacing_range", spacing_range=[0.2, 10.0])

    def test_values_that_are_no_classes(self, config: str, tmp_path: Path) -> None:
        assert_helps(config, self.write(tmp_path, 3), "or set label_names", label_names={"a": 1, "b": 2, "c": 3})

    def test_values_without_a_structure(self, config: str, tmp_path: Path) -> None:
        case, table = self.write(tmp_path, 7), {"anterior": [1], "posterior": [2]}
        with pytest.raises(BadInputError, match='add them to one, or let "background" be "others" there'):
            transforms(config, label_values=table)(case)
        for more in ({"background": "others"}, {"posterior": [2, 7]}):
            assert "label" in transforms(config, label_values={**table, **more})(case)


@pytest.mark.parametrize("workflow", ["train", "evaluate", "inference"])
@pytest.mark.parametrize("task", ["disc_labeling/", ""])
def test_the_range_of_voxel_sizes_is_an_id_of_every_task_of_volumes(task: str, workflow: str) -> None:
    assert "spacing_range" in json.loads((CONFIGS / f"{task}{workflow}.json").read_text())


def test_masks_of_a_dataset_check(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    case = write_picture(tmp_path, mask((24, 32), 255, 90, 200))
    Path(case["image"]).rename(tmp_path / "images" / "a.png")
    Path(case["label"]).rename(tmp_path / "masks" / "a.png")
    with pytest.raises(SystemExit):
        commands.main(["check", str(tmp_path)])
    assert commands.main(["check", str(tmp_path), "--round_levels"]) == 0


def test_frames_of_several_volumes(tmp_path: Path) -> None:
    echoes = [{"MREchoSequence": {"EffectiveEchoTime": time}} for time in (4.6, 9.2)]
    voxels = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    write_frames(tmp_path / "a" / "b.dcm", [voxels, -voxels], [np.eye(4)] * 2, echoes)
    with pytest.raises(BadInputError, match=r"split it by bundle\.io\.split_frames"):
        LoadVolumed("image")({"image": str(tmp_path / "a")})
    folders = split_frames(tmp_path / "a", tmp_path / "out")
    assert {int(LoadVolumed("image")({"image": str(folder)})["image"].sum()) for folder in folders} == {351, -351}


def test_folds(tmp_path: Path) -> None:
    items = [{"image": f"{n}.nii", "label": f"{n}_l.nii", "fold": n} for n in range(2)]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": items}))
    with pytest.raises(DatalistError, match=r"has no fold 2, only \[0, 1\]; pass --fold"):
        select_cases(tmp_path, "training", fold=2)
    assert len(select_cases(tmp_path, "training", fold=1)) == 1


OTHER_CLASSES = [
    ("train.json", "model.pt", {"label_names": {"a": 1, "b": 2, "c": 3}}),
    ("lesion_segmentation/train.json", "lesion_segmentation/model.pt", {"network_def#out_channels": 2}),
    ("cell_segmentation/train.json", "cell_segmentation/model.pt", {"network_def#out_channels": 3}),
    ("lesion_classification/train.json", "lesion_classification/model.pt", {"class_names": ["nevus", "a", "b"]}),
    ("disc_labeling/train.json", "disc_labeling/model.pt", {"level_count": 20}),
    ("disc_labeling/train_candidates.json", "disc_labeling/candidates.pt", {"network_def#out_channels": 20}),
]


@pytest.mark.parametrize(("config", "weights", "classes"), OTHER_CLASSES, ids=lambda value: str(value)[:20])
def test_weights_for_other_classes(config: str, weights: str, classes: dict[str, Any]) -> None:
    def network(**overrides: Any) -> Any:
        parser = ConfigParser()
        parser.read_config(str(CONFIGS / config))
        parser.update({"device": "cpu", "checkpoint": str(Path(ROOT, "models", weights)), **classes, **overrides})
        return parser.get_parsed_content("network")

    with pytest.raises(RuntimeError) as error:
        network()
    assert "pass --checkpoint_head new to the training" in str(error.value.__cause__)
    assert network(checkpoint_head="new").training
