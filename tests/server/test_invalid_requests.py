"""Responses of the real server to invalid requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def invalid_requests(case: str) -> dict[str, tuple[int, str, dict[str, Any]]]:
    """Return invalid requests: name -> (status, part of the message, request)."""

    def post(path: str, params: Any = None, **kwargs: Any) -> dict[str, Any]:
        form = {} if params is None else {"data": {"params": params if isinstance(params, str) else json.dumps(params)}}
        return {"method": "POST", "path": path, **form, **kwargs}

    def put(path: str, key: str, name: str, content: bytes) -> dict[str, Any]:
        return {"method": "PUT", "path": path, "files": {key: (name, content)}}

    infer, label = f"/infer/volumes?image={case}", "/datastore/label?tag=final&image="
    broken = b"no volume at all"
    return {
        "unknown model": (404, "choose one of volumes, discs", post(f"/infer/nope?image={case}")),
        "unknown image": (404, "is not in the study folder", post("/infer/volumes?image=nope")),
        "no image": (400, "no image given", post("/infer/volumes")),
        "unknown session": (404, "has expired", post("/infer/volumes?session_id=nope")),
        "session elsewhere": (404, "does not exist", post("/infer/volumes?session_id=../../etc")),
        "a file of the machine": (404, "is not in the study folder", post("/infer/volumes?image=/etc/passwd")),
        "a path out of the studies": (
            404,
            "is not in the study folder",
            post("/infer/volumes?image=../../../../etc/passwd"),
        ),
        "a path in params": (400, "must not contain image", post(infer, {"image": "/etc/passwd"})),
        "params no JSON": (400, "params is not JSON", post(infer, "{no")),
        "params a list": (400, "must be a JSON object", post(infer, "[1]")),
        "bad option": (400, "overlap must be a number", post(infer, {"overlap": "much"})),
        "bad switch": (400, "mirror must be true or false", post(infer, {"mirror": "perhaps"})),
        "bad device": (400, "device must be one of", post(infer, {"device": "abacus"})),
        "bad ending": (400, "result_extension must be one of", post(infer, {"result_extension": ".exe"})),
        "bad type": (400, "result_dtype must be one of", post(infer, {"result_dtype": "words"})),
        "DICOM SEG": (400, "DICOMweb", post(f"{infer}&output=dicom_seg")),
        "corrupt upload": (
            400,
            "x.nii.gz: cannot be read",
            post("/infer/volumes", files={"file": ("x.nii.gz", broken)}),
        ),
        "2D image for a model for volumes": (
            400,
            "reads volumes",
            post("/infer/volumes", files={"file": ("x.jpg", broken)}),
        ),
        "upload with a path": (400, "cannot be read", post("/infer/volumes", files={"file": ("../../x.nii", broken)})),
        "upload without a name": (400, "is not a file name", post("/infer/volumes", files={"file": ("..", broken)})),
        "corrupt label": (400, "cannot be read", put(label + case, "label", "l.nii.gz", broken)),
        "corrupt points": (400, "cannot be read as JSON", put(label + case, "label", "l.mrk.json", broken)),
        "label of nothing": (404, "is not in the study folder", put(label + "nope", "label", "l.nii.gz", broken)),
        "label as script": (400, "reads volumes", put(label + case, "label", "l.sh", broken)),
        "tag with a path": (
            400,
            "is not a file name",
            put(f"/datastore/label?tag=../../x&image={case}", "label", "l.nii", broken),
        ),
        "image with a path": (
            400,
            "is not a file name",
            put("/datastore/image?image=../evil", "file", "l.nii.gz", broken),
        ),
        "corrupt image": (
            400,
            "new.nii.gz: cannot be read",
            put("/datastore/image?image=new", "file", "x.nii.gz", broken),
        ),
        "image twice": (409, "already exists", put(f"/datastore/image?image={case}", "file", "x.nii.gz", broken)),
        "image as configuration": (
            400,
            "reads volumes",
            put("/datastore/image?image=datastore_v2", "file", "x.json", b"{}"),
        ),
        "no archive": (400, "is not a zip archive", put("/session/?uncompress=true", "files", "x.tar", broken)),
        "image to remove": (404, "not found", {"method": "DELETE", "path": "/datastore/image?id=nope"}),
        "weights that do not fit": (400, "w.pt cannot be read", put("/model/volumes", "file", "w.pt", broken)),
        "weights of nothing": (404, "is not served", put("/model/nope", "file", "w.pt", broken)),
        "shipped weights to remove": (409, "cannot be removed", {"method": "DELETE", "path": "/model/discs"}),
    }


@pytest.mark.parametrize("name", invalid_requests("x"))
def test_an_invalid_request_gets_a_status_and_a_message(name: str, server: Any, case: str) -> None:
    status, message, request = invalid_requests(case)[name]
    answer = server.request(**request)
    assert (answer.status_code, message in answer.json()["detail"]) == (status, True), answer.text
    assert str(server.work) not in answer.text


def test_invalid_requests_leave_the_studies_unchanged(server: Any, studies: Path) -> None:
    known = {path.name for path in studies.iterdir() if not path.name.startswith(".")}
    images = {f"{name}.nii.gz" for name in server.get("/datastore/?output=all").json()["objects"]}
    assert known == images | {"labels", "datastore_v2.json"}
    assert not (studies.parent / "evil.nii.gz").exists()
