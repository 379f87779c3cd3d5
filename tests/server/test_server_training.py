"""Training, scoring, batches and the choice of the next image on the real server; each test needs those before it."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
import pytest
from helpers.phantoms import write_nifti
from servers import Server, make_client, write_studies

from bundle.server.label_tasks import TASKS

PATIENCE = 600
SHIPPED = TASKS[0].shipped_weights
STRATEGIES = ("random", "first", "uncertainty")


def running(server: Any, path: str) -> dict[str, Any]:
    """Wait until a task of the server runs its workflow."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = server.get(path).json()
        if any("workflow" in line for line in found.get("details", ())):
            return found
        assert found["status"] in ("SUBMITTED", "RUNNING"), found
        time.sleep(0.5)
    raise AssertionError(f"{path} does not run: {found}")


def seen(server: Any, image: str) -> None:
    """Wait until the server has found an image in its folder."""
    end = time.monotonic() + PATIENCE
    while image not in server.get("/datastore/?output=all").json()["objects"]:
        assert time.monotonic() < end, f"{image} is not found in {PATIENCE} s"
        time.sleep(0.2)


def children(server: Any) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def info_of(server: Any, image: str) -> dict[str, Any]:
    return server.get("/datastore/?output=all").json()["objects"][image]["image"]["info"]


def infer(client: Any, image: str) -> tuple[np.ndarray, str]:
    """Return the label map of the server and the hash of its weights."""
    file, params = client.infer("volumes", image, {"device": "cpu"})
    return np.asanyarray(nib.load(file).dataobj), params["result"]["weights"]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("data") / "studies")


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server], studies: Path) -> Iterator[Server]:
    """A separate server, since these tests change its weights and labels."""
    server = make_server(studies)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_client(server, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def labels(studies: Path) -> Path:
    return studies.with_name("studies_labels")


@pytest.fixture(scope="module")
def names(labels: Path) -> list[str]:
    return sorted(file.name.removesuffix(".nii.gz") for file in labels.iterdir())


@pytest.fixture(scope="module")
def trained(server: Any, client: Any, labels: Path, names: list[str]) -> dict[str, Any]:
    """A training for one epoch on three labels, requested twice at once, and the results of the weights before it."""
    for name in names[:3]:
        client.save_label(name, str(labels / f"{name}.nii.gz"), tag="final")
    before, weights = infer(client, names[0])
    asked = {"json": {"max_epochs": 1, "device": "cpu", "val_split": 0.2}}
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: server.post("/train/volumes", **asked), range(2)))
    assert client.train_status(check_if_running=True) in (True, False)
    return {"before": before, "weights": weights, "answers": answers, "task": server.wait_for_task("/train/")}


def test_training_and_scoring_without_labels_are_refused(server: Any) -> None:
    for path in ("/train/volumes", "/scoring/dice"):
        answer = server.post(path)
        assert answer.status_code == 409, answer.text
        assert "no image has a final label" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "params", "status", "message"),
    [
        ("/train/nothing", {}, 404, "unknown model for training 'nothing'; available: volumes, discs."),
        ("/train/volumes", {"max_epochs": 0}, 400, "max_epochs must be a number, 1 or more, got 0."),
        ("/scoring/nothing", {}, 404, "unknown scoring method 'nothing'; available: dice, uncertainty."),
        ("/batch/infer/nothing", {}, 404, "unknown model 'nothing'; available: volumes, discs."),
        ("/activelearning/nothing", {}, 404, "unknown strategy 'nothing'; available: random, first, uncertainty."),
        ("/activelearning/uncertainty", {"model": "x"}, 404, "unknown model 'x'; available:"),
    ],
)
def test_invalid_requests_for_tasks_get_a_status_and_a_message(path, params, status, message, server: Any) -> None:
    answer = server.post(path, json=params)
    assert (answer.status_code, answer.json()["detail"][: len(message)]) == (status, message)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_returns_an_unlabeled_image(strategy: str, client: Any, names: list[str]) -> None:
    found = client.next_sample(strategy, {})
    assert found["id"] in names
    assert Path(found["path"]).is_file()


def test_the_most_uncertain_image_is_the_same_for_every_request(server: Any, names: list[str]) -> None:
    answers = [server.post("/activelearning/uncertainty", json={}).json() for _ in range(2)]
    values = {name: info_of(server, name)["uncertainty"]["volumes"]["value"] for name in names}
    assert answers[0]["id"] == answers[1]["id"] == max(names, key=lambda name: (values[name], name))
    assert answers[0]["score"] == max(values.values())


def test_a_training_is_started_once(trained: dict[str, Any]) -> None:
    assert sorted(answer.status_code for answer in trained["answers"]) == [200, 429]
    refused = next(answer for answer in trained["answers"] if answer.status_code == 429)
    assert "train is already running" in refused.json()["detail"]


def test_a_training_is_recorded(trained: dict[str, Any], server: Any, names: list[str]) -> None:
    log = "\n".join(trained["task"]["details"])
    assert trained["task"]["status"] == "DONE", log
    assert "epoch 1/1: loss" in log
    stats = server.get("/info/").json()["train_stats"]["volumes"]
    assert (stats["trained_on"], stats["validated_on"]) == (names[:3], "the training cases")
    assert 0 <= stats["best_metric"] <= 1


def test_trained_weights_are_served_from_the_next_request_on(trained, server, client, names: list[str]) -> None:
    found, weights = infer(client, names[0])
    served = server.work / "model" / "volumes" / "model.pt"
    assert weights == hashlib.sha256(served.read_bytes()).hexdigest() != trained["weights"]
    assert trained["weights"] == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert found.shape == trained["before"].shape
    assert set(np.unique(found)) <= {0, 1, 2}


def test_labels_with_unknown_values_are_reported_and_nothing_is_trained(trained, server, client, labels, names) -> None:
    name, good = names[2], labels / f"{names[2]}.nii.gz"
    bad = labels.parent / "bad.nii.gz"
    image = nib.load(good)
    write_nifti(bad, np.full(image.shape, 7, np.uint8), affine=image.affine)
    shutil.copyfile(bad, server.studies / "labels" / "final" / f"{name}.nii.gz")
    before = (server.work / "model" / "volumes" / "model.pt").read_bytes()
    assert server.post("/train/volumes", json={"max_epochs": 1}).status_code == 200
    task = server.wait_for_task("/train/")
    client.save_label(name, str(good), tag="final")
    log = "\n".join(task["details"])
    assert task["status"] == "ERROR"
    assert f"{name}.nii.gz: holds the values 7, which are none of the classes [0, 1, 2, 11, 12, 21, 22]" in log
    assert "Traceback" not in log
    assert (server.work / "model" / "volumes" / "model.pt").read_bytes() == before


def test_labels_are_refused_if_their_values_or_names_are_unknown(trained, server: Any, labels, names) -> None:
    name, path = names[2], f"/datastore/label?image={names[2]}&tag=final"
    stored = (server.studies / "labels" / "final" / f"{name}.nii.gz").read_bytes()
    bad = (labels.parent / "bad.nii.gz").read_bytes()
    answer = server.put(path, files={"label": ("l.nii.gz", bad)})
    assert answer.status_code == 400
    assert "holds the values 7" in answer.json()["detail"]
    assert "expected anterior = 1, posterior = 2" in answer.json()["detail"]
    params = json.dumps({"label_info": [{"name": "head", "idx": 1}, {"name": "tail", "idx": 2}]})
    answer = server.put(path, files={"label": ("l.nii.gz", stored)}, data={"params": params})
    assert answer.status_code == 400
    assert "is not a structure here; expected anterior = 1, posterior = 2" in answer.json()["detail"]
    assert (server.studies / "labels" / "final" / f"{name}.nii.gz").read_bytes() == stored


def test_the_names_of_the_values_decide_what_is_scored(trained, server, client, labels, names: list[str]) -> None:
    def score() -> float:
        assert server.post("/scoring/dice", json={"device": "cpu"}).status_code == 200
        server.wait_for_task("/scoring/")
        return float(info_of(server, names[0])["dice"]["volumes"]["value"])

    before, image = score(), nib.load(labels / f"{names[0]}.nii.gz")
    other = np.array([0, 2, 1], np.uint8)[np.asanyarray(image.dataobj).astype(int)]
    file = write_nifti(labels.parent / "other.nii.gz", other, affine=image.affine)
    info = [{"name": "posterior", "idx": 1}, {"name": "anterior", "idx": 2}]
    client.save_label(names[0], str(file), tag="final", params={"label_info": info})
    assert score() == pytest.approx(before, abs=1e-6)
    client.save_label(names[0], str(labels / f"{names[0]}.nii.gz"), tag="final")


@pytest.mark.slow
def test_a_training_can_be_stopped(trained, server: Any) -> None:
    assert server.post("/train/volumes", json={"max_epochs": 1000}).status_code == 200
    running(server, "/train/")
    before = (server.work / "model" / "volumes" / "model.pt").read_bytes()
    assert server.delete("/train/").json()["status"] == "STOPPED"
    assert server.wait_for_task("/train/")["status"] == "STOPPED"
    assert psutil.wait_procs(children(server), timeout=60)[1] == []
    assert (server.work / "model" / "volumes" / "model.pt").read_bytes() == before


def test_the_model_is_compared_with_the_final_labels(trained, server, client, labels, names: list[str]) -> None:
    assert server.post("/scoring/dice", json={"device": "cpu"}).status_code == 200
    task = server.wait_for_task("/scoring/")
    log = next(line for line in task["details"] if "Result: " in line)
    result = json.loads(log.split("Result: ")[1])
    assert task["status"] == "DONE"
    assert list(result["cases"]) == names[:3]
    assert result["mean"] == pytest.approx(np.mean(list(result["cases"].values())), abs=1e-4)
    for name in names[:3]:
        assert info_of(server, name)["dice"]["volumes"]["value"] == result["cases"][name]
    found, truth = infer(client, names[0])[0], np.asanyarray(nib.load(labels / f"{names[0]}.nii.gz").dataobj)
    dice = [
        2 * ((found == value) & (truth == value)).sum() / ((found == value).sum() + (truth == value).sum())
        for value in (1, 2)
        if (truth == value).any()
    ]
    assert result["cases"][names[0]] == pytest.approx(np.mean(dice), abs=0.02)


def test_values_of_earlier_weights_are_recomputed(trained, server: Any, names: list[str]) -> None:
    server.wait_for_task("/scoring/")
    found = server.post("/scoring/uncertainty?run_sync=true", json={}).json()
    assert sorted(found["uncertainty"]) == names[3:]
    stamp = str((server.work / "model" / "volumes" / "model.pt").stat().st_mtime_ns)
    for name in names[3:]:
        assert info_of(server, name)["uncertainty"]["volumes"] == {
            "value": found["uncertainty"][name],
            "weights": stamp,
        }


def test_a_batch_labels_all_valid_images(trained, server: Any, studies: Path, names: list[str]) -> None:
    broken = studies / "broken.nii.gz"
    broken.write_bytes(b"no volume")
    seen(server, "broken")
    assert server.post("/batch/infer/volumes?images=unlabeled").status_code == 200
    task = server.wait_for_task("/batch/infer")
    broken.unlink()
    log = "\n".join(task["details"])
    assert task["status"] == "DONE", log
    assert f"{len(names) - 3} images completed, 1 skipped" in log
    objects = server.get("/datastore/?output=all").json()["objects"]
    assert [name for name in names if "original" in objects[name]["labels"]] == names[3:]
    assert [name for name in names if "final" in objects[name]["labels"]] == names[:3]


@pytest.mark.slow
def test_a_stopped_server_stops_its_training(trained, server: Any, client: Any, names: list[str]) -> None:
    weights = infer(client, names[0])[1]
    assert server.post("/train/volumes", json={"max_epochs": 1000}).status_code == 200
    running(server, "/train/")
    left = children(server)
    assert left
    server.stop()
    assert psutil.wait_procs(left, timeout=60)[1] == []
    json.loads((server.studies / "datastore_v2.json").read_text())
    server.start()
    assert infer(client, names[0])[1] == weights


def test_the_reason_is_returned_if_all_images_are_labeled(trained, server, client, labels, names) -> None:
    for name in names[3:]:
        client.save_label(name, str(labels / f"{name}.nii.gz"), tag="final")
    for strategy in STRATEGIES:
        found = client.next_sample(strategy, {})
        assert found == {"message": f"all {len(names)} images have a final label"}
