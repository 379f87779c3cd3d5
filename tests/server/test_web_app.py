"""The real server and its clients."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from helpers.phantoms import write_nifti
from helpers.warm_python import warm_command_line
from requests_toolbelt import MultipartDecoder
from servers import DATA

from bundle import ROOT
from bundle.io.images import upright_size
from bundle.server.label_tasks import TASKS


def parts_of(answer: Any) -> tuple[dict[str, Any], bytes]:
    """Return the parameters and the file of a response to ``POST /infer``."""
    assert answer.status_code == 200, answer.text
    found = {}
    for part in MultipartDecoder.from_response(answer).parts:
        shown = part.headers[b"Content-Disposition"].decode()
        found["params" if 'name="params"' in shown else "image"] = part.content
    return json.loads(found["params"]), found["image"]


def nifti(content: bytes, tmp_path: Path) -> nib.Nifti1Image:
    file = tmp_path / "answer.nii.gz"
    file.write_bytes(content)
    return nib.Nifti1Image.from_filename(file)


def bundle_run(config: str, image: Path, output: Path, *options: str) -> Path:
    """Run ``monai.bundle run`` as a user does; return the folder of its results."""
    command = ["monai.bundle", "run", "--config_file", f"{ROOT}/configs/{config}"]
    run = warm_command_line(*command, "--input", str(image), "--output_dir", str(output), *options)
    assert run.returncode == 0, run.stdout
    return output


def same_plan(params: dict[str, Any]) -> tuple[str, str]:
    """Return the options of the plan of a response, since a busy machine can choose another plan."""
    return "--plan", plan_of(params["result"]["plan"])


def assert_same_voxels(content: bytes, expected: Path, tmp_path: Path) -> None:
    """Assert that the file of a response has the voxels, the data type and the affine of another file."""
    found, wanted = nifti(content, tmp_path), nib.Nifti1Image.from_filename(expected)
    np.testing.assert_array_equal(np.asanyarray(found.dataobj), np.asanyarray(wanted.dataobj))
    np.testing.assert_array_equal(found.affine, wanted.affine)
    assert found.get_data_dtype() == wanted.get_data_dtype()


def plan_of(description: str) -> str:
    """Return a plan from its description, as an option for ``--plan``."""
    dtype, memory, *rest = description.split(" (")[0].split(", ")
    plan: dict[str, Any] = {"dtype": dtype, "memory_format": memory}
    for part in rest:
        number, _, what = part.partition(" ")
        plan |= {"batch": int(number)} if what.startswith("window") else {}
        plan |= {"threads": int(number)} if what.startswith("thread") else {}
        plan |= {"direct": True} if part == "direct" else {}
    return repr(plan)


@pytest.fixture(scope="module")
def answer(server: Any, case: str) -> Any:
    """The response to an inference request without options."""
    return server.post("/infer/volumes", params={"image": case})


def test_info_lists_models_with_their_labels_and_options(server: Any) -> None:
    info = server.get("/info/").json()
    assert list(info["models"]) == ["volumes", "discs"]
    volumes = info["models"]["volumes"]
    assert volumes["labels"] == TASKS[0].all_labels
    assert volumes["config"] == {
        "device": volumes["config"]["device"],
        "overlap": 0.25,
        "mirror": False,
        "largest_component": False,
        "consecutive_values": True,
    }
    assert info["models"]["discs"]["labels"]["C2-C3"] == 3
    assert (info["name"], volumes["dimension"]) == ("Keyslice", 3)


def test_the_datastore_lists_the_studies(server: Any, studies: Path) -> None:
    status = server.get("/datastore/").json()
    names = {file.name.removesuffix(".nii.gz") for file in studies.glob("*.nii.gz")}
    assert status["total"] == len(names)
    assert set(server.get("/datastore/?output=all").json()["objects"]) == names


def test_inference_is_that_of_the_bundle(server: Any, answer: Any, studies: Path, case: str, tmp_path: Path) -> None:
    params, content = parts_of(answer)
    image = studies / f"{case}.nii.gz"
    out = bundle_run("inference.json", image, tmp_path / "out", *same_plan(params))
    assert_same_voxels(content, out / f"{case}_seg.nii.gz", tmp_path)
    assert nifti(content, tmp_path).get_data_dtype() == np.uint8
    np.testing.assert_array_equal(nifti(content, tmp_path).affine, nib.Nifti1Image.from_filename(image).affine)
    record = json.loads((out / f"{case}.json").read_text())
    assert params["result"]["labels"] == record["labels"]
    assert params["result"]["weights"] == record["checkpoint"]["sha256"]
    assert params["label_names"] == {"anterior": 1, "posterior": 2}


def test_the_client_gets_the_same_result(client: Any, answer: Any, case: str) -> None:
    assert set(client.info()["models"]) == {"volumes", "discs"}
    file, params = client.infer("volumes", case, {"device": "cpu"})
    assert Path(file).read_bytes() == parts_of(answer)[1]
    assert params["label_names"] == {"anterior": 1, "posterior": 2}


def test_a_session_gives_the_same_result_as_the_study(client: Any, answer: Any, studies: Path, case: str) -> None:
    made = client.create_session(str(studies / f"{case}.nii.gz"))
    file, _ = client.infer("volumes", "", {}, session_id=made["session_id"])
    assert Path(file).read_bytes() == parts_of(answer)[1]
    client.remove_session(made["session_id"])


def test_an_upload_gives_the_same_result_and_is_deleted(
    server: Any, answer: Any, studies: Path, case: str, tmp_path: Path
) -> None:
    with open(studies / f"{case}.nii.gz", "rb") as stream:
        upload = server.post("/infer/volumes", files={"file": ("my scan.nii.gz", stream)})
    _, content = parts_of(upload)
    np.testing.assert_array_equal(
        np.asanyarray(nifti(content, tmp_path).dataobj), np.asanyarray(nifti(parts_of(answer)[1], tmp_path).dataobj)
    )
    server.wait_for_empty_folders()


def test_slicer_and_ohif_get_the_format_that_they_read(server: Any, answer: Any, case: str, tmp_path: Path) -> None:
    params = json.dumps({"result_extension": ".nrrd", "result_dtype": "uint16", "result_compress": False})
    found = server.post("/infer/volumes", params={"image": case, "output": "image"}, data={"params": params})
    (tmp_path / "a.nrrd").write_bytes(found.content)
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert image.GetPixelIDTypeAsString() == "16-bit unsigned integer"
    assert b"encoding: raw" in found.content[:600]
    expected = nifti(parts_of(answer)[1], tmp_path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, np.asanyarray(expected.dataobj))
    corner = np.array(image.TransformIndexToPhysicalPoint((1, 2, 3))) * [-1, -1, 1]
    np.testing.assert_allclose(corner, (expected.affine @ [1, 2, 3, 1])[:3], atol=1e-4)


def test_options_of_the_panel_change_the_result_as_the_config_does(
    server: Any, studies: Path, case: str, tmp_path: Path
) -> None:
    options = {"overlap": "0.5", "mirror": "true", "largest_component": False}
    params, content = parts_of(
        server.post("/infer/volumes", params={"image": case}, data={"params": json.dumps(options)})
    )
    same = ["--overlap", "0.5", "--mirror_axes", "[0]", *same_plan(params)]
    out = bundle_run("inference.json", studies / f"{case}.nii.gz", tmp_path / "out", *same)
    assert_same_voxels(content, out / f"{case}_seg.nii.gz", tmp_path)


def test_json_can_be_requested_without_a_file(server: Any, answer: Any, case: str) -> None:
    response = server.post("/infer/volumes", params={"image": case, "output": "json"}).json()
    assert response["result"]["labels"] == parts_of(answer)[0]["result"]["labels"]


def test_labels_are_saved_and_returned(server: Any, answer: Any, case: str) -> None:
    content = parts_of(answer)[1]
    saved = server.put(f"/datastore/label?image={case}&tag=final", files={"label": ("l.nii.gz", content)})
    assert saved.json() == {"image": case, "label": case}
    assert server.get(f"/datastore/label?label={case}&tag=final").content == content
    assert server.get("/datastore/").json()["completed"] == 1
    assert zipfile.is_zipfile(io.BytesIO(server.get("/datastore/dataset").content))


def test_a_result_can_be_saved_as_an_original_label(server: Any, case: str) -> None:
    params = json.dumps({"save_label": True, "label_tag": "first"})
    content = parts_of(server.post("/infer/volumes", params={"image": case}, data={"params": params}))[1]
    assert server.get(f"/datastore/label?label={case}&tag=first").content == content


def test_a_label_must_be_on_the_grid_of_its_image(server: Any, case: str, tmp_path: Path) -> None:
    other = write_nifti(tmp_path / "l.nii.gz", np.zeros((3, 4, 5), np.uint8))
    with open(other, "rb") as stream:
        answer = server.put(f"/datastore/label?image={case}", files={"label": ("l.nii.gz", stream)})
    assert answer.status_code == 400
    assert "grid" in answer.json()["detail"]


def test_images_are_added_and_removed(server: Any, studies: Path, tmp_path: Path) -> None:
    content = next(studies.glob("phantom_0*")).read_bytes()
    added = server.put("/datastore/image?image=new one", files={"file": ("x.nii.gz", content)})
    assert added.json() == {"image": "new one"}
    assert (studies / "new one.nii.gz").read_bytes() == content
    assert server.delete("/datastore/image?id=new one").status_code == 200
    assert not (studies / "new one.nii.gz").exists()


def test_uploaded_weights_are_served_and_the_shipped_ones_restored(server: Any, case: str) -> None:
    import torch

    shipped = Path(ROOT, "models", "model.pt")
    before = shipped.stat().st_mtime_ns
    state = {name: value.clone() for name, value in torch.load(shipped, weights_only=True).items()}
    for name, value in state.items():
        state[name] = value * 0 if value.is_floating_point() else value
    stream = io.BytesIO()
    torch.save(state, stream)
    answer = server.put("/model/volumes", files={"file": ("w.pt", stream.getvalue())})
    assert answer.status_code == 200, answer.text
    empty = server.post("/infer/volumes", params={"image": case, "output": "json"}).json()
    assert [part["voxels"] for part in empty["result"]["labels"].values()] == [0, 0]
    assert server.get("/model/info/volumes").json()["checksum"] == answer.json()["checksum"]
    assert server.delete("/model/volumes").status_code == 200
    again = server.post("/infer/volumes", params={"image": case, "output": "json"}).json()
    assert again["result"]["weights"] != empty["result"]["weights"]
    assert shipped.stat().st_mtime_ns == before


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1"])
def test_pages_of_other_origins_cannot_read_responses(server: Any, origin: str) -> None:
    assert "access-control-allow-origin" not in server.get("/info/", headers={"Origin": origin}).headers
    own = server.get("/info/", headers={"Origin": server.url}).headers
    assert own["access-control-allow-origin"] == server.url


@pytest.mark.slow
def test_memory_stays_constant_over_fifty_requests_of_ten_clients(server: Any, answer: Any, case: str) -> None:
    expected = parts_of(answer)[1]

    def ask(number: int) -> bool:
        return parts_of(server.post("/infer/volumes", params={"image": case}))[1] == expected

    for _ in range(3):
        ask(0)
    before = server.memory
    with ThreadPoolExecutor(10) as clients:
        answers = list(clients.map(ask, range(50)))
    assert answers == [True] * 50
    assert server.memory - before < 150 * 2**20


def test_the_server_responds_during_inference(server: Any, case: str) -> None:
    with ThreadPoolExecutor(6) as clients:
        running = [clients.submit(server.post, "/infer/volumes", params={"image": case}) for _ in range(6)]
        assert server.get("/info/").status_code == 200
        assert not all(request.done() for request in running)
        assert [request.result().status_code for request in running] == [200] * 6


@pytest.mark.slow
def test_sigterm_during_a_request_ends_cleanly_and_a_restart_serves_the_same(
    server: Any, answer: Any, case: str, studies: Path, tmp_path: Path
) -> None:
    before = server.get("/datastore/?output=all").json()["objects"]
    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(server.post, "/infer/volumes", params={"image": case}) for _ in range(4)]
        while not list((server.work / "results").iterdir()):
            time.sleep(0.01)
        assert server.stop() in (0, -15)
        assert parts_of(running[0].result())[1] == parts_of(answer)[1]
    assert set(json.loads((studies / "datastore_v2.json").read_text())["objects"]) == set(before)
    server.start()
    params, content = parts_of(server.post("/infer/volumes", params={"image": case}))
    image = studies / f"{case}.nii.gz"
    out = bundle_run("inference.json", image, tmp_path / "out", *same_plan(params))
    assert_same_voxels(content, out / f"{case}_seg.nii.gz", tmp_path)
    assert server.get("/datastore/?output=all").json()["objects"] == before


@pytest.fixture(scope="module")
def spine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exam of a spine: a real one if there is one, else a phantom."""
    folder = tmp_path_factory.mktemp("spine")
    real = DATA / "spine" / "cervical_t2_crop" / "t2.nii.gz"
    if real.is_file():
        (folder / "exam.nii.gz").write_bytes(real.read_bytes())
    else:
        from helpers.disc_cases import write_spines

        image = sorted(write_spines(folder / "phantom", 1).rglob("images*/*.nii.gz"))[0]
        (folder / "exam.nii.gz").write_bytes(image.read_bytes())
    return folder


def test_discs_are_returned_as_points_and_markups(server: Any, spine: Path, tmp_path: Path) -> None:
    with open(spine / "exam.nii.gz", "rb") as stream:
        params, content = parts_of(server.post("/infer/discs", files={"file": ("exam.nii.gz", stream)}))
    out = bundle_run("disc_labeling/inference.json", spine / "exam.nii.gz", tmp_path / "out", "--figure", "false")
    record = json.loads((out / "exam.json").read_text())
    assert record["discs"] or not DATA.is_dir()
    assert params["points"] == {disc["name"]: disc["position"] for disc in record["discs"]}
    assert params["markups"] == json.loads((out / "exam.mrk.json").read_text())
    assert_same_voxels(content, out / "exam_label-discs_dlabel.nii.gz", tmp_path)


@pytest.mark.slow
@pytest.mark.real_data
def test_a_lesion_mask_has_the_size_of_its_jpeg(
    make_server: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    lesions = next(task for task in TASKS if task.name == "lesions")
    if lesions.missing_files:
        pytest.skip(f"{lesions.missing_files[0]} is not there yet")
    jpeg = min((shared_data / "skin_segmentation").rglob("*.jpg"), key=lambda file: file.stat().st_size)
    studies = tmp_path / "images"
    studies.mkdir()
    (studies / "lesion.jpg").write_bytes(jpeg.read_bytes())
    server = make_server(studies, "--models", "lesions,lesion_classes")
    params, content = parts_of(server.post("/infer/lesions", params={"image": "lesion"}))
    (tmp_path / "answer.png").write_bytes(content)
    assert upright_size(tmp_path / "answer.png") == upright_size(jpeg)
    assert params["label_names"] == {"lesion": 255}
    out = bundle_run("lesion_segmentation/inference.json", studies / "lesion.jpg", tmp_path / "out")
    assert (out / "lesion_seg.png").read_bytes() == content
    refused = server.post("/infer/lesions", files={"file": ("x.nii.gz", b"x")})
    assert (refused.status_code, "reads 2D images" in refused.json()["detail"]) == (400, True)
    classes = server.post("/infer/lesion_classes", params={"image": "lesion", "output": "json"}).json()
    assert [found["label"] for found in classes["prediction"]] == ["melanoma", "seborrheic_keratosis"]
    refused = server.post("/infer/lesion_classes", params={"image": "lesion", "output": "image"})
    assert (refused.status_code, "returns no image; use output=json" in refused.json()["detail"]) == (400, True)
    answer = server.post("/infer/volumes", params={"image": "lesion"})
    assert (answer.status_code, "choose one of lesions, lesion_classes" in answer.json()["detail"]) == (404, True)
    server.stop()
