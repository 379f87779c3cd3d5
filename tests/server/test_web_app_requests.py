"""What the requests of the web app do, without a server: its own process may end before its coverage is written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import BackgroundTasks, UploadFile
from monailabel.endpoints.infer import ResultType

from bundle.networks.weights import WeightsError
from bundle.server import web_app
from bundle.server.label_tasks import VOLUME
from bundle.server.server_errors import RequestError


class Task:
    """A model of the app with a folder for its weights."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "volumes"
        self.trained_weights = self.work / "model.pt"


class Instance:
    """An app that answers with its request."""

    def __init__(self, folder: Path) -> None:
        self.uploads, self.kind = folder / "uploads", VOLUME
        self.chosen = Task(folder)
        self.seen: list[dict[str, Any]] = []
        self.file: str | None = "result.nii.gz"
        self.error: RequestError | None = None

    def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(request)
        if self.error is not None:
            raise self.error
        return {"file": self.file, "existed": Path(request["image"]).is_file()}

    def datastore(self) -> str:
        return "datastore"

    def task(self, model: str) -> Task:
        return self.chosen

    def model_info(self, model: str) -> dict[str, str]:
        return {"model": model}

    def sessions(self) -> Any:
        return SimpleNamespace(get_session=lambda name: SimpleNamespace(image="s.nii.gz") if name == "known" else None)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    made = Instance(tmp_path)
    monkeypatch.setattr(web_app, "app_instance", lambda: made)
    monkeypatch.setattr(web_app, "send_response", lambda datastore, result, output, tasks: result)
    return made


def infer(**words: Any) -> Any:
    return web_app.run_inference(BackgroundTasks(), **{"model": "volumes", "user": None, "output": None, **words})


def test_an_image_of_the_studies_or_of_a_session_is_segmented(instance: Instance) -> None:
    assert infer(image="a", params='{"device": "cpu"}')["file"] == "result.nii.gz"
    infer(session_id="known")
    assert instance.seen == [
        {"device": "cpu", "model": "volumes", "image": "a"},
        {"model": "volumes", "image": "s.nii.gz"},
    ]


def test_an_upload_is_there_during_the_inference_alone(instance: Instance) -> None:
    upload = UploadFile(BytesIO(b"voxels"), filename="scan.nii.gz")
    assert infer(file=upload)["existed"]
    assert not Path(instance.seen[0]["image"]).parent.exists()
    instance.error = RequestError(400, f"{instance.uploads}: is bad")
    with pytest.raises(RequestError, match="is bad"):
        infer(file=upload)
    assert list(instance.uploads.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"image": "a", "output": ResultType.dicom_seg}, "dicom_seg needs a DICOMweb server"),
        ({"image": "a", "params": "[]"}, "params: must be a JSON object"),
        ({"image": "a", "params": '{"image": "b"}'}, "params: must not contain image"),
        ({}, "no image given; pass image, session_id or a file"),
        ({"session_id": "other"}, "session 'other' does not exist or has expired"),
    ],
)
def test_an_invalid_request_is_refused(words: dict[str, Any], message: str, instance: Instance) -> None:
    with pytest.raises(RequestError, match=message):
        infer(**words)
    assert instance.seen == []


def test_an_image_is_asked_of_a_model_without_one(instance: Instance) -> None:
    instance.file = None
    with pytest.raises(RequestError, match="returns no image; use output=json"):
        infer(image="a", output=ResultType.image)


def test_weights_are_replaced_if_they_fit_and_restored(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(task: Any, file: str) -> None:
        if Path(file).read_bytes() == b"bad":
            raise WeightsError(f"{file}: do not fit")

    monkeypatch.setattr(web_app, "load_network", load)
    with pytest.raises(RequestError, match=r"mine\.pt: do not fit"):
        web_app.replace_weights("volumes", UploadFile(BytesIO(b"bad"), filename="mine.pt"), None)
    with pytest.raises(RequestError, match="uses the weights of the bundle"):
        web_app.remove_weights("volumes", None)
    good = UploadFile(BytesIO(b"good"), filename="mine.pt")
    assert web_app.replace_weights("volumes", good, None) == {"model": "volumes"}
    assert instance.chosen.trained_weights.read_bytes() == b"good"
    removed = web_app.remove_weights("volumes", None)["removed"]
    assert [file.name for file in instance.chosen.work.iterdir()] == [removed]
