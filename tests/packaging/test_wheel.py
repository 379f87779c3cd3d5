"""The wheel that the source distribution makes holds all that the bundle needs, and works from any directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import write_case
from helpers.workflows import command_line

from bundle import ROOT
from bundle.export.pack import pack_files

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-deps", "--no-index", "--no-build-isolation")
BUILD_SDIST = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
SOURCES = ("bundle", "configs", "docs", "models", "requirements", "setup.py", "pyproject.toml", "MANIFEST.in")
PAGES = ("README.md", "LICENSE", "CHANGELOG.md")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without the checkout on its path; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, check=False, **pipe)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of a copy of the checkout."""
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "source"
    for name in (*SOURCES, *PAGES):
        place = Path(ROOT, name)
        if place.is_dir():
            shutil.copytree(place, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(place, source / name)
    run(sys.executable, "-c", BUILD_SDIST, folder, cwd=source)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel made from the source distribution."""
    folder = sdist.parent / "wheel"
    run(sys.executable, *PIP, "wheel", *OFFLINE, "--wheel-dir", folder, sdist, cwd=sdist.parent)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel: Path) -> Path:
    """The scripts of a fresh environment with the wheel; other packages are those of this environment."""
    folder = wheel.parent / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    run(sys.executable, *PIP, "--python", python, "install", *OFFLINE, wheel, cwd=folder)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_source_distribution_has_the_files_of_the_build(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", "models/model.pt", "configs/inference.json"} <= names


def test_the_wheel_holds_configs_overlays_weights_and_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = [file.relative_to(ROOT) for folder in ("configs", "models") for file in Path(ROOT, folder).rglob("*")]
    missing = [name for name in wanted if Path(ROOT, name).is_file() and f"bundle/_root/{name}" not in names]
    assert missing == []
    assert {"bundle/py.typed", "bundle/_root/configs/networks/vnet.json", "bundle/_root/LICENSE"} <= names
    assert "bundle/_root/models/disc_labeling/skeleton.json" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"bundle"}


def test_the_command_shows_its_help_and_the_root_in_the_package(scripts: Path, tmp_path: Path) -> None:
    assert "usage: keyslice" in run(scripts / "keyslice", "--help", cwd=tmp_path)
    root = Path(run(scripts / "keyslice", "root", cwd=tmp_path).strip())
    assert root.is_relative_to(scripts.parent)
    assert (root / "configs" / "inference.json").is_file()


def test_the_inference_of_the_wheel_gives_the_labels_of_the_checkout(scripts: Path, tmp_path: Path) -> None:
    image = write_case(tmp_path, "case", (36, 40, 32))["image"]
    root = run(scripts / "keyslice", "root", cwd=tmp_path).strip()
    words = ["-W", "ignore", "-m", "monai.bundle", "run", "--config_file", f"{root}/configs/inference.json"]
    options = ["--input", image, "--device", "cpu", "--plan", "fp32", "--plausible_distance", "null"]
    run(scripts / "python", *words, *options, "--output_dir", tmp_path / "wheel", cwd=tmp_path)
    config = ["monai.bundle", "run", "--config_file", f"{ROOT}/configs/inference.json"]
    checkout = command_line(*config, *options, "--output_dir", str(tmp_path / "checkout"), python=("-W", "ignore"))
    assert checkout.returncode == 0, checkout.stdout
    labels = [np.asanyarray(nib.load(tmp_path / name / "case_seg.nii.gz").dataobj) for name in ("wheel", "checkout")]
    assert labels[0].any()
    assert np.array_equal(*labels)


def test_a_pack_of_the_wheel_is_that_of_the_checkout(scripts: Path, tmp_path: Path) -> None:
    run(scripts / "keyslice", "pack", "disc_labeling", tmp_path / "pack", cwd=tmp_path)
    files = [file for file in (tmp_path / "pack").rglob("*") if file.is_file()]
    packed = {file.relative_to(tmp_path / "pack").as_posix(): file.read_bytes() for file in files}
    wanted = pack_files("disc_labeling")
    assert packed.keys() == wanted.keys()
    assert [name for name in wanted if packed[name] != wanted[name]] == []


def test_the_app_of_the_wheel_finds_configs_and_weights(scripts: Path, tmp_path: Path) -> None:
    code = "from bundle.server.label_tasks import TASKS; print([path for task in TASKS for path in task.missing_files])"
    assert run(scripts / "python", "-W", "ignore", "-c", code, cwd=tmp_path).strip() == "[]"
