"""Packs in MONAI Label's own app ``monaibundle``, as described in docs/pack.md."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers.disc_cases import write_spines
from PIL import Image
from requests_toolbelt import MultipartDecoder
from servers import Server, write_studies

from bundle import ROOT
from bundle.export.pack import write_pack

pytestmark = pytest.mark.slow

PAGE = Path(ROOT, "docs", "pack.md").read_text(encoding="utf-8")
SHIM = re.search(r"top of `apps/monaibundle/main\.py`.*?```python\n(.*?)```", PAGE, flags=re.DOTALL)
START = next(line for line in PAGE.splitlines() if " start_server " in line)
FETCH = next(line for line in PAGE.splitlines() if " apps --download " in line)


class StockServer(Server):
    """The server that docs/pack.md starts, on models of ``model/`` in the app."""

    def __init__(self, studies: Path, work: Path) -> None:
        super().__init__(studies, work)
        self.folder = work.parent

    def command(self) -> list[str]:
        words_of_page = {"apps/monaibundle": str(self.work), "STUDIES": str(self.studies), "8000": str(self.port)}
        words_of_page |= {"hippocampus": ",".join(sorted(file.name for file in (self.work / "model").iterdir()))}
        words = shlex.split(START)
        assert words[0] == ".venv-label/bin/python"
        return [sys.executable, "-W", "ignore", *(words_of_page.get(word, word) for word in words[1:])]


def fetch_app(folder: Path) -> Path:
    """Fetch the app into ``folder/apps`` and fix its ``main.py``, as on the page."""
    words = shlex.split(FETCH)
    subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True, capture_output=True)
    app = folder / "apps" / "monaibundle"
    assert SHIM is not None
    (app / "main.py").write_text(SHIM[1] + (app / "main.py").read_text())
    (app / "model").mkdir()
    return app


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockServer]:
    """The stock app on phantoms and real volumes, with packs that infer in float32 and refuse no result."""
    folder = tmp_path_factory.mktemp("stock")
    app = fetch_app(folder)
    for task in ("volumes", "disc_labeling"):
        write_pack(task, app / "model" / task)
    config = app / "model" / "volumes" / "configs" / "inference.json"
    text = config.read_text().replace('"plan": "auto"', '"plan": "fp32"')
    config.write_text(text.replace('"plausible_distance": 10.0', '"plausible_distance": null'))
    studies = write_studies(folder / "studies")
    write_spines(folder / "spines", 1)
    shutil.copyfile(next((folder / "spines" / "images").iterdir()), studies / "spine.nii.gz")
    server = StockServer(studies, app)
    yield server.start()
    server.stop()


def volume_of(answer: Any, file: Path) -> nib.Nifti1Image:
    assert answer.status_code == 200, answer.text
    file.write_bytes(answer.content)
    return nib.Nifti1Image.from_filename(file)


def test_the_stock_app_lists_the_packs(stock: StockServer) -> None:
    info = stock.get("/info/").json()
    assert info["models"]["volumes"]["labels"] == {"anterior": 1, "posterior": 2}
    assert set(info["models"]) == set(info["trainers"]) == {"volumes", "disc_labeling"}


def test_the_stock_app_returns_the_labels_of_the_pack(stock: StockServer, case: str, tmp_path: Path) -> None:
    before = sorted((stock.work / "model").rglob("*.json"))
    found = volume_of(stock.post("/infer/volumes", params={"image": case, "output": "image"}), tmp_path / "a.nii.gz")
    assert sorted((stock.work / "model").rglob("*.json")) == before
    pack = stock.work / "model" / "volumes"
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--bundle_root", str(pack)]
    command += ["--config_file", str(pack / "configs" / "inference.json"), "--output_dir", str(tmp_path / "out")]
    image = stock.studies / f"{case}.nii.gz"
    subprocess.run([*command, "--input", str(image)], cwd=tmp_path, check=True)
    expected = nib.Nifti1Image.from_filename(tmp_path / "out" / f"{case}_seg.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(found.dataobj), np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-5)
    assert found.get_data_dtype() == expected.get_data_dtype() == np.uint8


def test_the_stock_app_returns_discs_as_a_label_map_and_points(stock: StockServer, tmp_path: Path) -> None:
    answer = stock.post("/infer/disc_labeling", params={"image": "spine"})
    assert answer.status_code == 200, answer.text
    params, content = (part.content for part in MultipartDecoder.from_response(answer).parts)
    (tmp_path / "a.nii.gz").write_bytes(content)
    labels = np.asanyarray(nib.Nifti1Image.from_filename(tmp_path / "a.nii.gz").dataobj)
    response = json.loads(params)
    assert response["discs"]
    assert {disc["value"]: tuple(disc["voxel"]) for disc in response["discs"]} == {
        int(labels[tuple(voxel)]): tuple(voxel.tolist()) for voxel in np.argwhere(labels)
    }
    assert response["points"] == {disc["name"]: disc["position"] for disc in response["discs"]}


def test_a_training_in_the_stock_app_replaces_the_weights_that_are_served(stock: StockServer, tmp_path: Path) -> None:
    weights = stock.work / "model" / "volumes" / "models" / "model.pt"
    before = hashlib.sha256(weights.read_bytes()).hexdigest()
    asked = {"image": "phantom_0", "output": "image"}
    first = volume_of(stock.post("/infer/volumes", params=asked), tmp_path / "a.nii.gz")
    for number in range(3):
        label = stock.studies.with_name("studies_labels") / f"phantom_{number}.nii.gz"
        with open(label, "rb") as stream:
            saved = stock.put(f"/datastore/label?image=phantom_{number}&tag=final", files={"label": stream})
        assert saved.status_code == 200, saved.text
    request = {"max_epochs": 1, "device": "cpu", "val_split": 0.34}
    assert stock.post("/train/volumes", json=request).status_code == 200
    task = stock.wait_for_task("/train/")
    assert task["status"] == "DONE", "\n".join(task["details"][-20:])
    assert hashlib.sha256(weights.read_bytes()).hexdigest() != before
    second = volume_of(stock.post("/infer/volumes", params=asked), tmp_path / "b.nii.gz")
    assert second.shape == first.shape
    assert not np.array_equal(np.asanyarray(first.dataobj), np.asanyarray(second.dataobj))


def test_the_stock_app_still_needs_the_two_operators() -> None:
    """Fails once monailabel (0.8.5 here) or torchvision (0.28.0) loads with a CPU torch: drop the shim."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import monailabel.tasks.infer.bundle"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "operator torchvision::nms does not exist" in run.stderr


@pytest.mark.skipif(
    not Path(ROOT, "models", "lesion_segmentation", "model.pt").is_file(), reason="there are no weights for lesions"
)
def test_the_stock_app_returns_a_mask_of_the_size_of_a_jpeg(tmp_path: Path) -> None:
    app = fetch_app(tmp_path)
    write_pack("lesion_segmentation", app / "model" / "lesions")
    pixels = np.full((70, 100, 3), 200, np.uint8)
    pixels[20:50, 30:70] = (90, 50, 40)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "mole.jpg", quality=95)
    server = StockServer(tmp_path / "images", app).start()
    try:
        answer = server.post("/infer/lesions", params={"image": "mole", "output": "image"})
        assert answer.status_code == 200, server.log.read_text()[-3000:]
    finally:
        server.stop()
    (tmp_path / "a.png").write_bytes(answer.content)
    mask = np.asarray(Image.open(tmp_path / "a.png"))
    pack = app / "model" / "lesions"
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--bundle_root", str(pack)]
    command += ["--config_file", str(pack / "configs" / "inference.json"), "--output_dir", str(tmp_path / "out")]
    subprocess.run([*command, "--input", str(tmp_path / "images" / "mole.jpg")], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(mask, np.asarray(Image.open(tmp_path / "out" / "mole_seg.png")))
