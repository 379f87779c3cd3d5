"""Cross-validation on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.workflows import small_dataset

import bundle.cli.main as commands
from bundle.cluster.connection import ClusterOptions
from bundle.experiments.crossval import cross_validation
from bundle.experiments.crossval.crossval_plan import TRAIN


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def run(dataset: Path, output: Path, *options: str) -> int:
    return commands.main(["crossval", "--dataset_dir", str(dataset), "--output_dir", str(output), *options])


def called(monkeypatch: pytest.MonkeyPatch, **content: Any) -> dict[str, Any]:
    """Let the command call a double, and return what it is called with."""
    options: dict[str, Any] = {}

    def double(dataset: str, output: str, **kwargs: Any) -> dict[str, Any]:
        options.update(kwargs, dataset=dataset, output=output)
        return {"failed": [], "skipped": [], **content}

    monkeypatch.setattr(cross_validation, "crossval", double)
    return options


def test_options_and_overrides_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    options = called(monkeypatch)
    files = "['a/train.json','b.json']"
    words = ["--folds", "3", "--epochs", "7", "--config_file", files, "--nproc", "2", "--network_def#channels", "[4,8]"]
    words += ["--workers", "2"]
    assert run(Path("data"), Path("out"), *words) == 0
    assert options.pop("command").startswith("python -m bundle crossval --dataset_dir data --output_dir out --folds 3")
    assert options == {
        **{
            "dataset": "data",
            "output": "out",
            "folds": 3,
            "epochs": 7,
            "nproc": 2,
            "model": None,
            "datalist": None,
            "split_seed": None,
        },
        **{"config_file": ["a/train.json", "b.json"], "evaluation_file": None, "inference_file": None},
        "overrides": {"network_def#channels": [4, 8]},
        "cluster": ClusterOptions(workers=2),
    }


def test_the_main_task_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    options = called(monkeypatch)
    run(Path("data"), Path("out"))
    assert options["config_file"] == [str(TRAIN)]
    assert options["nproc"] == 1


@pytest.mark.parametrize("content", [{"failed": [{"run": "fold0"}]}, {"skipped": ["a.nii.gz: is empty"]}])
def test_the_exit_status_is_2_where_something_is_missing(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    called(monkeypatch, **content)
    with pytest.raises(SystemExit) as end:
        run(Path("data"), Path("out"))
    assert end.value.code == 2


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_dataset(tmp_path_factory.mktemp("dataset"), count=3)
    items = [{"image": f"images/case{i}.nii.gz", "label": f"labels/case{i}.nii.gz", "fold": i} for i in range(3)]
    (folder / "dataset.json").write_text(json.dumps({"training": items}))
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lerning_rate", "1"], "lerning_rate: is neither an option nor an id of"),
        (["--val_interval", "1"], "val_interval: is set by the cross-validation"),
        (["--folds", "9"], "folds must lie between 1 and the 3 folds"),
        (["stray"], "'stray' is neither an option"),
    ],
)
def test_a_mistake_is_logged_in_one_line_before_anything_is_written(
    options: list[str], message: str, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(dataset, tmp_path / "out", *options) == 2
    assert message in caplog.text
    assert not (tmp_path / "out").exists()
