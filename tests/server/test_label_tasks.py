"""The tasks that fit a study folder."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.server.label_tasks import IMAGE, TASKS, VOLUME, LabelTask, choose_tasks, find_images, parse_models
from bundle.server.server_errors import StudiesError


@pytest.fixture
def tasks(tmp_path: Path) -> list[LabelTask]:
    """The tasks of a bundle without weights for the classes of lesions."""
    root = tmp_path / "root"
    for task in (replace(task, root=root) for task in TASKS):
        for file in (task.config_dir / "inference.json", task.config_dir / "metadata.json", task.shipped_weights):
            file.parent.mkdir(parents=True, exist_ok=True)
            if task.name != "lesion_classes" or file.suffix == ".json":
                file.write_text("{}")
    return [replace(task, root=root) for task in TASKS]


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).touch()
    return path


def test_volumes_are_served_by_the_models_for_volumes(tmp_path: Path, tasks: list[LabelTask]) -> None:
    studies = folder_of(tmp_path / "s", "a.nii.gz", "notes.txt", ".hidden.nii.gz")
    assert [task.name for task in choose_tasks(studies, tasks=tasks)] == ["volumes", "discs"]
    assert [file.name for file in find_images(studies, VOLUME)] == ["a.nii.gz"]


def test_2d_images_are_served_by_the_models_with_weights(
    tmp_path: Path, tasks: list[LabelTask], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        chosen = choose_tasks(folder_of(tmp_path / "s", "A.JPG"), tasks=tasks)
    assert [task.name for task in chosen] == ["lesions", "cells"]
    assert "lesion_classes is not offered" in caplog.text


def test_named_models_are_served_in_their_order(tmp_path: Path, tasks: list[LabelTask]) -> None:
    studies = folder_of(tmp_path / "s", "a.nrrd")
    assert [task.name for task in choose_tasks(studies, ["discs", "volumes"], tasks)] == ["discs", "volumes"]


def test_the_given_models_determine_the_kind_of_an_empty_or_mixed_folder(
    tmp_path: Path, tasks: list[LabelTask]
) -> None:
    empty, mixed = folder_of(tmp_path / "e"), folder_of(tmp_path / "m", "a.nii", "b.png")
    for studies in (empty, mixed):
        assert [task.name for task in choose_tasks(studies, ["cells"], tasks)] == ["cells"]
    with pytest.raises(StudiesError, match="contains neither"):
        choose_tasks(empty, tasks=tasks)
    with pytest.raises(StudiesError, match="volumes and 2D images"):
        choose_tasks(mixed, tasks=tasks)


def test_unsuitable_models_and_folders_are_reported(tmp_path: Path, tasks: list[LabelTask]) -> None:
    volumes, images_2d = folder_of(tmp_path / "v", "a.mha"), folder_of(tmp_path / "p", "a.bmp")
    with pytest.raises(StudiesError, match="which cells cannot read; pass --models with some of volumes, discs"):
        choose_tasks(volumes, ["volumes", "cells"], tasks)
    with pytest.raises(StudiesError, match=r"lesion_classes: .*model.pt does not exist"):
        choose_tasks(images_2d, ["lesion_classes"], tasks)
    with pytest.raises(StudiesError, match="has no weights for them"):
        choose_tasks(images_2d, tasks=[task for task in tasks if task.name == "lesion_classes"])
    with pytest.raises(StudiesError, match="is not a folder"):
        choose_tasks(tmp_path / "nowhere", tasks=tasks)


@pytest.mark.parametrize("text", ["volumes,knees", "", " , "])
def test_names_of_models_are_checked(text: str) -> None:
    with pytest.raises(StudiesError, match="is not a model of this bundle; choose from volumes, discs"):
        parse_models(text)


def test_model_names_are_separated_by_commas() -> None:
    assert parse_models("volumes, discs,") == ["volumes", "discs"]
    assert parse_models(None) is None


def test_trained_weights_are_served_before_the_shipped_ones(tmp_path: Path, tasks: list[LabelTask]) -> None:
    task = replace(tasks[0], work=tmp_path / "work")
    assert task.served_weights == task.shipped_weights
    task.work.mkdir()
    task.trained_weights.touch()
    assert task.served_weights == task.trained_weights


def test_labels_are_those_of_the_config_or_of_the_metadata(tmp_path: Path) -> None:
    volumes, discs = TASKS[:2]
    assert volumes.labels == {"anterior": 1, "posterior": 2}
    assert (discs.labels["C1-C2"], discs.labels["L5-S1"], len(discs.labels)) == (2, 25, 24)
    other = replace(volumes, root=tmp_path, kind=IMAGE)
    other.config_dir.mkdir()
    (other.config_dir / "inference.json").write_text("{}")
    (other.config_dir / "metadata.json").write_text(
        '{"network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "mole"}}}}}'
    )
    assert other.labels == {"mole": 1}


def test_ignored_voxels_have_the_value_of_the_config_or_the_highest(tmp_path: Path) -> None:
    assert [task.ignore_value for task in TASKS] == [65535, None, None, None, None]
    for content, value in (
        ('{"ignore_label": 9, "label_names": {"a": 1}}', 9),
        ('{"ignore_label": null, "label_names": {"a": 1, "ignore": 2}}', 2),
    ):
        root = tmp_path / str(value)
        task = replace(TASKS[0], root=root)
        task.config_dir.mkdir(parents=True)
        (task.config_dir / "evaluate.json").write_text(content)
        assert task.ignore_value == value


def test_the_background_is_not_a_structure(tmp_path: Path) -> None:
    task = replace(TASKS[0], root=tmp_path)
    task.config_dir.mkdir()
    (task.config_dir / "inference.json").write_text('{"label_names": {"background": 0, "a": 1, "b": 2}}')
    assert task.labels == {"a": 1, "b": 2}
    assert task.levels == [1, 2]
