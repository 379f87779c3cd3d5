"""A training is resumed with the settings that decide its result, and no others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.config import CONFIGS, TASKS, Task
from helpers.trainings import small_network, small_trainer
from monai.bundle import ConfigParser
from monai.transforms import Lambdad

from bundle.training import TrainingCheckpoint, TrainingSettings, TrainingSettingsError
from bundle.training.training_settings import describe_cases

VALUES: dict[str, Any] = {"fold": 0, "roi_size": [16, 16], "steps": [{"prob": 0.5}, {"prob": 0.1}]}
CASES = [{"case": "a", "image": "a.png", "label": np.array([1.0, 0.0])}, {"case": "b", "image": "b.png"}]
TRAININGS = [*((folder, "train.json") for folder in TASKS), ("disc_labeling", "train_candidates.json")]


def train(folder: Path, *, resume: bool = False, epochs: int = 1, **changes: Any) -> None:
    settings = TrainingSettings(folder, {**VALUES, **changes}, resume=resume)
    network = small_network()
    checkpoint = TrainingCheckpoint(folder, {"network": network}, resume=resume, settings=settings)
    small_trainer(network, [checkpoint], epochs=epochs).run()


def refused(folder: Path, **changes: Any) -> str:
    """Return the message with which other settings are refused."""
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(TrainingSettingsError) as error:
        TrainingSettings(folder, {**VALUES, **changes}, resume=True)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    return str(error.value)


def test_the_same_settings_are_resumed_with_more_epochs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    train(tmp_path)
    train(tmp_path, resume=True, epochs=2)
    assert f"resumed from {tmp_path / 'last.pt'} at epoch 1 of 2" in caplog.text


def test_other_settings_are_refused_by_name_with_both_values_and_what_to_do(tmp_path: Path) -> None:
    train(tmp_path)
    message = refused(tmp_path, fold=1, roi_size=[16, 32])
    assert message == (
        f"{tmp_path / 'last.pt'} is of a training with other settings: fold is 0 there and 1 here; roi_size is "
        "[16, 16] there and [16, 32] here. Pass another --output_dir, or the settings that it was started with."
    )


def test_of_a_setting_with_parts_the_first_that_differs_is_named_and_the_others_counted(tmp_path: Path) -> None:
    train(tmp_path)
    message = refused(tmp_path, steps=[{"prob": 0.4}, {"prob": 0.2}])
    assert "steps#0#prob is 0.5 there and 0.4 here (and 1 more in steps)." in message


def test_long_values_are_shortened(tmp_path: Path) -> None:
    steps = [{"name": "x" * 90}]
    train(tmp_path, steps=steps)
    assert f'steps#0#name is "{"x" * 79}... there and "y" here' in refused(tmp_path, steps=[{"name": "y"}])
    assert "steps is a list of 1 there and [] here" in refused(tmp_path, steps=[])


def test_both_remedies_of_the_message_help(tmp_path: Path) -> None:
    train(tmp_path / "one")
    assert "Pass another --output_dir, or the settings" in refused(tmp_path / "one", fold=1)
    train(tmp_path / "two", resume=True, fold=1)
    train(tmp_path / "one", resume=True, fold=0, epochs=2)


def test_without_resume_a_training_starts_anew_with_any_settings(tmp_path: Path) -> None:
    train(tmp_path)
    train(tmp_path, fold=1)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["settings"]["fold"] == 1


def test_ids_that_only_one_of_both_has_are_not_compared(tmp_path: Path) -> None:
    train(tmp_path, old=1)
    TrainingSettings(tmp_path, {**VALUES, "new": 2}, resume=True)


def test_a_state_of_version_0_1_is_resumed_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"epoch": 1}, tmp_path / "last.pt")
    TrainingSettings(tmp_path, VALUES, resume="true")
    assert f"{tmp_path / 'last.pt'} has no settings (version 0.1)" in caplog.text


def test_a_damaged_state_is_refused_before_the_training_starts(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"last\.pt is damaged or no checkpoint; start anew without --resume"):
        TrainingSettings(tmp_path, VALUES, resume=True)


def test_values_without_a_name_or_an_order_do_not_prevent_resuming(tmp_path: Path) -> None:
    def settings() -> dict[str, Any]:
        return {"transform": Lambdad("image", lambda x: x), "weight": float("nan"), "levels": (1, np.float32(2))}

    train(tmp_path, **settings())
    train(tmp_path, resume=True, epochs=2, **settings())


class TestCases:
    def test_cases_count_by_name_and_content_not_by_path(self, tmp_path: Path) -> None:
        for folder, content in (("one", b"1"), ("moved", b"1"), ("other", b"2")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.nii").write_bytes(content)
        one, moved, other = (
            describe_cases([{"case": "a", "image": str(tmp_path / name / "a.nii"), "label": 1}])
            for name in ("one", "moved", "other")
        )
        assert one == moved != other

    def test_several_files_a_folder_and_a_header_with_voxels_count_completely(self, tmp_path: Path) -> None:
        series = tmp_path / "series"
        series.mkdir()
        (series / "1.dcm").write_bytes(b"1")
        (tmp_path / "a.mhd").write_text("ElementDataFile = a.raw\n")
        (tmp_path / "a.raw").write_bytes(b"1")
        cases = [{"case": "x", "image": [str(tmp_path / "a.mhd"), str(series)], "label": str(tmp_path / "missing")}]
        found = describe_cases(cases)
        for file in (series / "1.dcm", tmp_path / "a.raw"):
            file.write_bytes(b"2")
            assert describe_cases(cases) != found
            file.write_bytes(b"1")
            assert describe_cases(cases) == found

    def test_cases_of_two_sources_with_the_same_name_both_count(self) -> None:
        both = describe_cases([{"case": "a", "label": 1}, {"case": "a", "label": 2}])
        assert len(both) == 1
        assert both != describe_cases([{"case": "a", "label": 1}])

    def test_another_label_is_refused_by_the_name_of_the_case(self, tmp_path: Path) -> None:
        def settings(resume: bool, label: float) -> TrainingSettings:
            cases = [{**CASES[0], "label": np.array([1.0, label])}, CASES[1]]
            return TrainingSettings(tmp_path, {}, cases={"training_cases": cases}, resume=resume)

        torch.save({"settings": settings(False, 0.0).described}, tmp_path / "last.pt")
        with pytest.raises(TrainingSettingsError, match=r'training_cases#a is "[0-9a-f]{12}" there and "[0-9a-f]{12}"'):
            settings(True, 1.0)


def settings_of(folder: str, config: str, **overrides: Any) -> TrainingSettings:
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / folder / config))
    parser.update({"device": "cpu", **overrides})
    return parser.get_parsed_content("settings")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that writes five cases of a task, once."""

    def write(folder: str) -> Path:
        root = Path(tmp_path_factory.getbasetemp(), f"settings_{folder.strip('.')}")
        if not root.exists():
            task: Task = TASKS[folder]
            task.write(root, 5)
        return root

    return write


@pytest.mark.parametrize(("folder", "config"), TRAININGS)
class TestConfigs:
    """In every training the same settings are resumed, and others are refused before anything is loaded."""

    def options(self, folder: str, config: str, datasets: Callable[[str], Path], output: Path) -> dict[str, Any]:
        options = {"dataset_dir": str(datasets(folder)), "output_dir": str(output)}
        stored = settings_of(folder, config, **options, **self.small(config)).described
        torch.save({"settings": stored}, output / "last.pt")
        return {**options, **self.small(config), "resume": True}

    def small(self, config: str) -> dict[str, Any]:
        return {"drawn_spines": 2} if "candidates" in config else {}

    def test_what_does_not_decide_the_result_is_free(
        self, folder: str, config: str, datasets: Callable[[str], Path], tmp_path: Path
    ) -> None:
        options = self.options(folder, config, datasets, tmp_path)
        free = {"epochs": 500, "early_stop": 3, "num_workers": 2, "device": "meta", "amp": False, "cache_gb": 1}
        settings_of(folder, config, **{**options, **free})

    @pytest.mark.parametrize(
        "change",
        [{"fold": 1}, {"seed": 1}, {"batch_size": 7}, {"learning_rate": 0.5}, {"optimizer#weight_decay": 0.7}],
        ids=lambda change: next(iter(change)),
    )
    def test_other_settings_are_refused(
        self, change: dict[str, Any], folder: str, config: str, datasets: Callable[[str], Path], tmp_path: Path
    ) -> None:
        options = self.options(folder, config, datasets, tmp_path)
        with pytest.raises(RuntimeError) as error:
            settings_of(folder, config, **options, **change)
        assert isinstance(error.value.__cause__, TrainingSettingsError)
        ((name, value),) = change.items()
        assert f"{name} is " in str(error.value.__cause__)
        assert f" there and {value} here" in str(error.value.__cause__)
        assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]

    def test_another_network_loss_and_classes_are_refused(
        self, folder: str, config: str, datasets: Callable[[str], Path], tmp_path: Path
    ) -> None:
        options = self.options(folder, config, datasets, tmp_path)
        for name, change in self.changes(folder, config).items():
            with pytest.raises(RuntimeError) as error:
                settings_of(folder, config, **{**options, **change})
            assert name in str(error.value.__cause__)
            assert isinstance(error.value.__cause__, TrainingSettingsError)

    def changes(self, folder: str, config: str) -> dict[str, dict[str, Any]]:
        loss = {"loss": {"loss": {"_target_": "torch.nn.BCEWithLogitsLoss"}}}
        if config == "train_candidates.json":
            return {**loss, "network_def": {"network_def#depth": 1}, "scores": {"scores": False}}
        if folder == ".":
            names = {"label_names": {"a": 1, "b": 2}}
            return {
                **loss,
                "attention": {"attention": "se"},
                "label_names": names,
                "augmentation": {"augmentation": []},
            }
        if folder == "disc_labeling":
            return {**loss, "attention": {"attention": False}, "slab_mm": {"slab_mm": 3.0}}
        if folder == "lesion_classification":
            return {**loss, "attention": {"attention": "channel"}, "class_names": {"class_names": ["melanoma"]}}
        return {**loss, "attention": {"attention": None}, "label_names": {"label_names": {"x": 1}}}

    def test_another_dataset_with_the_same_names_is_refused(
        self, folder: str, config: str, datasets: Callable[[str], Path], tmp_path: Path
    ) -> None:
        options = self.options(folder, config, datasets, tmp_path)
        other = tmp_path / "other"
        TASKS[folder].write(other, 6)
        with pytest.raises(RuntimeError) as error:
            settings_of(folder, config, **{**options, "dataset_dir": str(other)})
        assert isinstance(error.value.__cause__, TrainingSettingsError)
        assert "sources" in str(error.value.__cause__) or "_cases#" in str(error.value.__cause__)
