"""``python -m bundle prepare phantom`` makes what the command of the dataset lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.check import check_dataset
from bundle.cli import main as commands
from bundle.io import LoadVolumed
from bundle.phantoms.volumes.volume_phantoms import PHANTOMS


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def kinds() -> list[tuple[str, str]]:
    return [(name, "released") for name in PHANTOMS] + [
        (name, "original") for name, phantom in PHANTOMS.items() if phantom.original
    ]


@pytest.mark.parametrize(("name", "layout"), kinds())
def test_a_phantom_is_listed_loads_and_has_no_fault(name: str, layout: str, tmp_path: Path) -> None:
    options = ["--count", "5", "--size", "32", "--layout", layout]
    assert commands.main(["prepare", "phantom", name, str(tmp_path), *options]) == 0
    target = tmp_path / "list.json"
    assert commands.main(["prepare", name, str(tmp_path), "--output", str(target), "--folds", "2"]) == 0
    content = json.loads(target.read_text())
    listed = content["training"] + content["test"]
    assert sum("label" in item for item in listed) == 5
    modality = content.get("modality", {"0": "CT"})
    load = LoadVolumed(["image", "label"], label_values=content.get("label_values"), channels=list(modality.values()))
    item = content["training"][0]
    image = item["image"] if isinstance(item["image"], list) else [item["image"]]
    loaded = load({"image": [str(tmp_path / file) for file in image], "label": str(tmp_path / item["label"])})
    assert loaded["image"].shape == (len(modality), 32, 32, 32)
    classes = len(content.get("labels", [0, 1, 2]))
    assert loaded["label"].unique().tolist() == list(range(classes))
    assert check_dataset(tmp_path, target, workers=1)["faults"] == []


def test_a_mistake_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert commands.main(["prepare", "phantom", "msd", str(tmp_path), "--layout", "original"]) == 2
    assert "the original project has no msd" in caplog.text
