"""The package of the runtime needs NumPy, nibabel, Pillow and ONNX Runtime, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
from helpers.model_folders import write_model
from helpers.onnx_models import write_class_model, write_volume_model
from helpers.phantoms import noise, write_case, write_nifti
from helpers.workflows import command_line
from PIL import Image

from bundle import ROOT, __version__

ALLOWED = {"numpy", "nibabel", "PIL", "onnxruntime"}
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "monai", "scipy", "skimage", "ignite", "bundle"):
            raise ImportError(f"{name} is refused")
sys.meta_path.insert(0, Refuse())
from keyslice_runtime.runtime.keyslice_run import main
sys.exit(main(sys.argv[1:]))
"""


def setup_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runtime_setup", Path(ROOT, "runtime", "setup.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtime")
    setup_script().write_package(folder)
    return folder


def run_command(package: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", REFUSE, *map(str, words)]
    return subprocess.run(command, cwd=package, env=environment, check=False, capture_output=True, text=True)


def test_its_modules_import_nothing_else(package: Path) -> None:
    for module in package.rglob("*.py"):
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            tops = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
            assert tops <= ALLOWED | {"keyslice_runtime"}, module


def test_its_dependencies_are_these_in_the_versions_of_the_bundle() -> None:
    own = tomllib.loads(Path(ROOT, "runtime", "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bundle = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {name.split(">")[0] for name in own["dependencies"]} == {"numpy", "nibabel", "pillow", "onnxruntime"}
    assert set(own["dependencies"]) <= {*bundle["dependencies"], *bundle["optional-dependencies"]["onnx"]}
    assert own["requires-python"] == bundle["requires-python"]


def test_volumes_and_images_are_processed_without_torch_and_monai(package: Path, tmp_path: Path) -> None:
    volume = write_nifti(tmp_path / "scan.nii.gz", noise((14, 15, 16)) * 30)
    image = tmp_path / "skin.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(image)
    for model, file in ((write_volume_model, volume), (write_class_model, image)):
        done = run_command(package, model(tmp_path / "model.onnx"), file, tmp_path / "out")
        assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "scan.json").read_text())["versions"]["keyslice"] == __version__


@pytest.mark.slow
def test_labels_and_numbers_are_those_of_the_workflow(package: Path, tmp_path: Path) -> None:
    from bundle.export.onnx_file import export_onnx

    write_model(tmp_path / "mine", attention="pam")
    image = write_case(tmp_path, "case", (21, 26, 19))["image"]
    export_onnx(str(tmp_path / "mine"), tmp_path / "model")
    done = run_command(package, tmp_path / "model" / "model.onnx", image, tmp_path / "runtime")
    assert done.returncode == 0, done.stderr
    config = [
        "monai.bundle",
        "run",
        "--config_file",
        f"{ROOT}/configs/inference.json",
        "--model",
        str(tmp_path / "mine"),
    ]
    options = ["--input", str(image), "--device", "cpu", "--plan", "fp32", "--output_dir", str(tmp_path / "workflow")]
    done_there = command_line(*config, *options, python=("-W", "ignore"))
    assert done_there.returncode == 0, done_there.stdout
    folders = [tmp_path / name for name in ("runtime", "workflow")]
    labels = [np.asarray(nib.load(folder / "case_seg.nii.gz").dataobj) for folder in folders]
    assert (labels[0] == labels[1]).mean() > 0.999
    found, wanted = (json.loads((folder / "case.json").read_text()) for folder in folders)
    assert wanted.keys() - found.keys() == {"plan", "provenance"}
    for name, entry in wanted["labels"].items():
        for kind in ("volume_mm3", "margin", "entropy", "border_margin", "border_entropy", "border_share"):
            assert found["labels"][name][kind] == pytest.approx(entry[kind], rel=0.02, abs=2e-3)


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_the_wheel_has_the_command(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", tmp_path, Path(ROOT, "runtime")], check=True)
    (wheel,) = tmp_path.glob("keyslice_runtime-*.whl")
    venv.create(tmp_path / "environment", symlinks=True)
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    (place,) = (tmp_path / "environment" / "lib").glob("*/site-packages")
    (place / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [python.with_name("keyslice-run"), "--version"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == __version__
