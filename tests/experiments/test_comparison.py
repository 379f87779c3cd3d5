"""The comparison as a whole, on phantoms, from the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import write_nifti
from helpers.workflows import small_dataset, small_options
from monai.inferers import SimpleInferer

import bundle.cli.main as commands
from bundle.attention import Attention
from bundle.experiments.compare import compare
from bundle.experiments.compare import comparison_runs as runs

TINY = ["--folds", "2", "--seeds", "1", "--epochs", "1", *small_options()]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("dataset"), count=4)


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole comparison of two mechanisms."""
    output = tmp_path_factory.mktemp("compare") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands.logging, "basicConfig", lambda **_: None)
        assert run(dataset, output, "none,se", *TINY) == 0
    return output


def run(dataset: Path, output: Path, attention: str, *options: str) -> int:
    places = ["--dataset_dir", str(dataset), "--output_dir", str(output)]
    return commands.main(["compare", *places, "--attention", attention, *options])


def read(output: Path) -> dict[str, Any]:
    return json.loads((output / "comparison.json").read_text())


class Fragile(torch.nn.Module):
    """A mechanism that fails as soon as it is used, until it is mended."""

    broken = True

    def __init__(self, spatial_dims: int, channels: int, spatial_size: Any = None) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(channels, *[1] * spatial_dims))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.broken:
            raise ArithmeticError("it broke")
        return x * self.scale


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Fragile]]:
    monkeypatch.setattr(Fragile, "broken", True)
    Attention.add_factory_class("fragile", Fragile)
    yield Fragile
    del Attention.components["FRAGILE"]


def test_every_case_is_scored_once_a_mechanism_and_seed(finished: Path) -> None:
    with open(finished / "comparison.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    scored = [(row["attention"], row["case"], row["structure"]) for row in rows]
    assert len(scored) == len(set(scored)) == 2 * 4 * 2
    datalist = json.loads((finished / "datalist.json").read_text())
    fold_of = {Path(case["image"]).name.split(".")[0]: str(case["fold"]) for case in datalist["training"]}
    assert all(row["fold"] == fold_of[row["case"]] for row in rows)


def test_the_tables_hold_the_means_of_the_scores(finished: Path) -> None:
    with open(finished / "comparison.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    results = read(finished)["results"]
    for name in ("none", "se"):
        dice = np.mean([float(row["dice"]) for row in rows if row["attention"] == name])
        assert results[name]["value"]["dice"]["mean"]["mean"] == pytest.approx(dice)
    assert results["se"]["parameters"] > results["none"]["parameters"]
    assert "`se`: " in (finished / "comparison.md").read_text()


def test_the_folder_names_the_command_and_all_that_decided_the_result(finished: Path) -> None:
    content = read(finished)
    assert content["command"].startswith("python -m bundle compare --dataset_dir ")
    assert content["plan"]["versions"]["torch"] == torch.__version__
    plan = json.loads((finished / "plan.json").read_text())
    assert plan["train"]["roi_size"] == plan["evaluation"]["roi_size"] == [16, 16, 16]
    assert plan["train"]["network_def"]["channels"] == [4, 8]


def test_a_finished_comparison_is_not_run_again(dataset: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (finished / "comparison.csv").read_bytes(), read(finished)["results"]
    monkeypatch.setattr(runs, "run_one", lambda *_: pytest.fail("ran again"))
    assert run(dataset, finished, "none,se", *TINY) == 0
    assert ((finished / "comparison.csv").read_bytes(), read(finished)["results"]) == before


def test_a_run_is_the_same_alone_as_among_others_and_after_an_interruption(
    dataset: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--datalist", str(finished / "datalist.json"), *TINY[2:]]
    with monkeypatch.context() as patch:
        patch.setattr(runs, "evaluate", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, tmp_path / "out", "none,se", "--folds", "1", *options)
    folder = tmp_path / "out" / "runs" / "fold0_seed0_none"
    assert (folder / "train" / "last.pt").is_file()
    assert not (folder / "result.json").exists()
    assert run(dataset, tmp_path / "out", "none,se", "--folds", "1", *options) == 0
    for name in ("fold0_seed0_none", "fold0_seed0_se"):
        found, expected = (
            json.loads((place / "runs" / name / "result.json").read_text())["rows"]
            for place in (tmp_path / "out", finished)
        )
        assert found == expected


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_all_mechanisms_start_alike_and_see_the_same_patches(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    first: dict[str, dict[str, torch.Tensor]] = {}
    forward = SimpleInferer.__call__

    def spy(self: Any, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        label = "se" if any("channel" in key for key in network.state_dict()) else "none"
        first.setdefault(label, {key: value.clone() for key, value in network.state_dict().items()})
        seen.setdefault(label, []).append(torch.as_tensor(inputs).clone())
        return forward(self, inputs, network, *args, **kwargs)

    monkeypatch.setattr(SimpleInferer, "__call__", spy)
    options = {"network_def#channels": [4, 8], "roi_size": [16, 16, 16], "device": "cpu"}
    compare(dataset, tmp_path / "out", attention=[None, "se"], folds=2, seeds=1, epochs=2, overrides=options)
    assert len(seen["none"]) == len(seen["se"]) == 2 * 2
    assert all(torch.equal(a, b) for a, b in zip(seen["none"], seen["se"], strict=True))
    assert not torch.equal(seen["none"][0], seen["none"][1]), "an epoch is not the one before"
    assert first["none"].keys() < first["se"].keys()
    assert all(torch.equal(value, first["se"][key]) for key, value in first["none"].items())


def test_a_run_that_fails_is_recorded_and_only_it_is_run_again(
    dataset: Path,
    tmp_path: Path,
    fragile: type[Fragile],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as end:
        run(dataset, tmp_path / "out", "none,fragile", *TINY)
    assert end.value.code == 2
    failed = [f"fold{fold}_seed0_fragile" for fold in (0, 1)]
    assert read(tmp_path / "out")["failed"] == [{"run": name, "error": "ArithmeticError: it broke"} for name in failed]
    assert "it broke" in (tmp_path / "out" / "runs" / failed[0] / "error.txt").read_text()
    assert "fold0_seed0_fragile failed: ArithmeticError: it broke" in caplog.text
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "- fold1_seed0_fragile failed: ArithmeticError: it broke" in page
    assert "`fragile`: no run has a counterpart without attention." in page

    again: list[str] = []
    one = runs.run_one
    monkeypatch.setattr(runs, "run_one", lambda plan, run, *rest: again.append(run.name) or one(plan, run, *rest))
    fragile.broken = False
    assert run(dataset, tmp_path / "out", "none,fragile", *TINY) == 0
    assert again == failed
    assert read(tmp_path / "out")["failed"] == []
    assert not (tmp_path / "out" / "runs" / failed[0] / "error.txt").exists()


def test_cases_that_are_skipped_are_reported(tmp_path: Path) -> None:
    folder = small_dataset(tmp_path / "data", count=4)
    write_nifti(folder / "images" / "case9.nii.gz", np.full((16, 16, 16), np.nan, np.float32))
    write_nifti(folder / "labels" / "case9.nii.gz", np.zeros((16, 16, 16), np.uint8))
    with pytest.raises(SystemExit) as end:
        run(folder, tmp_path / "out", "none", *TINY)
    assert end.value.code == 2
    (message,) = read(tmp_path / "out")["skipped"]
    assert "case9.nii.gz" in message
    assert f"a case was skipped: {message}" in (tmp_path / "out" / "comparison.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network_def#chanels", "[4]", "--lerning_rate", "1"], "lerning_rate: is neither an option nor an id of"),
        (["--seed", "3"], "seed: is set by the comparison"),
        (["--folds", "9"], "folds must lie between 1 and the 4 folds"),
        (["stray"], "'stray' is neither an option nor the value of one"),
    ],
)
def test_a_mistake_is_recorded_in_one_line_before_anything_is_written(
    words: list[str], message: str, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(dataset, tmp_path / "out", "none", *TINY, *words) == 2
    assert message in caplog.text
    assert not (tmp_path / "out").exists()


def test_other_commands_take_no_further_arguments(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        commands.main(["card", "--network_def#channels", "[4]"])
    assert "unrecognized arguments: --network_def#channels [4]" in capsys.readouterr().err
