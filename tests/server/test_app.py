"""The app, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from servers import task_without_guard, write_studies

from bundle.data.case_review import Rating
from bundle.server import app as app_module
from bundle.server.app import KeysliceApp
from bundle.server.server_errors import RequestError, StudiesError


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> KeysliceApp:
    """The app on phantoms with the main task only."""
    folder = tmp_path_factory.mktemp("app")
    studies = write_studies(folder / "studies", 1)
    for file in studies.iterdir():
        if not file.name.startswith("phantom"):
            file.unlink()
    task = task_without_guard(folder / "root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "choose_tasks", lambda *_: [task])
        return KeysliceApp(str(folder / "work"), str(studies), {"models": "volumes"})


def test_it_is_found_as_monai_label_looks_for_it(app: KeysliceApp, tmp_path: Path) -> None:
    from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

    from bundle.server.start_command import prepare_work_dir

    prepare_work_dir(tmp_path)
    assert get_class_of_subclass_from_file("main", str(tmp_path / "main.py"), "MONAILabelApp") is KeysliceApp


def test_models_are_those_that_were_chosen(app: KeysliceApp) -> None:
    assert list(app.info()["models"]) == ["volumes"]
    assert app.task("volumes").work == app.work / "model" / "volumes"
    with pytest.raises(RequestError, match="'discs' is not served; choose one of volumes"):
        app.task("discs")


def test_models_that_do_not_fit_the_studies_are_refused(app: KeysliceApp, tmp_path: Path) -> None:
    with pytest.raises(StudiesError, match="cannot read"):
        KeysliceApp(str(tmp_path), app.studies, {"models": "cells"})


def test_ratings_add_a_strategy(app: KeysliceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(app.init_strategies()) == ["random", "first", "uncertainty"]
    monkeypatch.setattr(app, "ratings", {"phantom_0": Rating("phantom_0", rating="fail", note="cut")})
    strategies = app.init_strategies()
    assert list(strategies) == ["review", "random", "first", "uncertainty"]
    found = strategies["review"]({"strategy": "review"}, app.datastore())
    assert found == {"id": "phantom_0", "rating": "fail", "note": "cut", "left": 1}


def test_inference_returns_a_new_file(app: KeysliceApp) -> None:
    answer = app.infer({"model": "volumes", "image": "phantom_0", "device": ["cpu"]})
    assert Path(answer["file"]).parent == app.work / "results"
    assert nib.Nifti1Image.from_filename(answer["file"]).shape == (24, 26, 24)
    assert answer["label"] == answer["file"]
    assert answer["params"]["label_names"] == {"anterior": 1, "posterior": 2}
    Path(answer["file"]).unlink()


def test_a_result_can_be_saved_as_a_label(app: KeysliceApp) -> None:
    answer = app.infer({"model": "volumes", "image": "phantom_0", "save_label": True, "label_tag": "draft"})
    assert (answer["label"], answer["tag"]) == ("phantom_0", "draft")
    kept = app.datastore().get_label_uri("phantom_0", "draft")
    np.testing.assert_array_equal(
        np.asanyarray(nib.Nifti1Image.from_filename(kept).dataobj),
        np.asanyarray(nib.Nifti1Image.from_filename(answer["file"]).dataobj),
    )


def test_only_uploads_and_sessions_are_accepted_as_paths(app: KeysliceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = app.datastore().get_image_uri("phantom_0")
    for image in (volume, "", "studies", f"{app.uploads}/../results", f"{app.uploads}/nothing.nii.gz"):
        with pytest.raises(RequestError, match="is not in the study folder") as error:
            app.infer({"model": "volumes", "image": image})
        assert error.value.status == 404
    monkeypatch.setattr(app, "_sessions", None)
    app.uploads.mkdir(exist_ok=True)
    upload = app.uploads / "x.nii.gz"
    upload.write_bytes(Path(volume).read_bytes())
    assert app._check_upload(str(upload)) == str(upload)


def test_sessions_are_optional(app: KeysliceApp) -> None:
    assert app._load_sessions(False) is None


def test_a_tag_may_be_the_one_of_monai_label(app: KeysliceApp) -> None:
    from monailabel.interfaces.datastore import DefaultLabelTag

    answer = app.infer({"model": "volumes", "image": "phantom_0", "label_tag": DefaultLabelTag.FINAL})
    assert answer["tag"] == "final"
    Path(answer["file"]).unlink()


def test_scores_that_are_outdated_are_renewed(app: KeysliceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    from monailabel.interfaces.app import MONAILabelApp
    from requests import ConnectionError as NotReachable

    def start(self: Any, method: str, params: Any = None) -> dict[str, Any]:
        if method == "uncertainty":
            raise NotReachable("no server")
        return {"id": method}

    monkeypatch.setattr(MONAILabelApp, "async_scoring", start)
    assert app.async_scoring(None) == {}
    monkeypatch.setattr("bundle.server.app.get_outdated_methods", lambda *_: ["dice", "uncertainty"])
    assert app.async_scoring(None) == {"dice": {"id": "dice"}}
    assert app.async_scoring("dice") == {"id": "dice"}


def test_trainers_strategies_and_scoring_methods_are_listed(app: KeysliceApp) -> None:
    assert list(app.info()["trainers"]) == ["volumes"]
    assert list(app.info()["strategies"]) == ["random", "first", "uncertainty"]
    assert list(app.info()["scoring"]) == ["dice", "uncertainty"]
