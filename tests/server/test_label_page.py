"""The commands of docs/label.md, in order, on the server that the page starts."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from servers import write_studies

from bundle import ROOT

PAGE = Path(ROOT, "docs", "label.md")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
JOBS = re.compile(r"-X POST .*?/(train|scoring|batch/infer)/")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the study folder of the page."""
    place = tmp_path_factory.mktemp("page")
    images = sorted(write_studies(place / "drawn").glob("*.nii.gz"))
    (place / "STUDIES").mkdir()
    for number, image in enumerate(images[:3], start=1):
        image.rename(place / "STUDIES" / f"case_00{number}.nii.gz")
    (place / ".curlrc").write_text("fail\nmax-time = 300\n")
    return place


@pytest.fixture(scope="module")
def page_server(make_server: Callable[..., Any], place: Path) -> Any:
    """The server as the page starts it, except for port and working folder."""
    words = shlex.split(next(command for command in COMMANDS if " -m bundle label " in command))
    assert words[:5] == [".venv-label/bin/python", "-m", "bundle", "label", "--studies"]
    assert words[5:] == ["STUDIES", "--port", "8000"]
    return make_server(place / "STUDIES")


def follow(command: str, server: Any, place: Path) -> str:
    """Run a command of the page; HTTP errors are failures."""
    command = command.replace("http://127.0.0.1:8000", server.url)
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env={"CURL_HOME": str(place), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"
    return run.stdout


def test_the_installation_command_is_a_target_of_the_makefile() -> None:
    made = [command for command in COMMANDS if command.startswith("make ")]
    assert made == ["make .venv-label/.label"]
    assert "\n$(LABEL)/.label: requirements/label_server.txt\n" in Path(ROOT, "Makefile").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_leads_from_a_folder_of_images_to_trained_weights(page_server: Any, place: Path) -> None:
    curls = [command for command in COMMANDS if command.startswith("curl ")]
    assert len(curls) == len(COMMANDS) - 2 >= 15
    for command in curls:
        output = follow(command, page_server, place)
        job = JOBS.search(command)
        if job:
            record = page_server.wait_for_task(f"/{job[1]}/")
            assert record["status"] == "DONE", record
        if "activelearning" in command:
            assert '"id":"case_00' in output
    seg, image = (nib.load(place / name) for name in ("case_001_seg.nii.gz", "STUDIES/case_001.nii.gz"))
    assert seg.shape == image.shape
    assert (place / "case_001_label.nii.gz").read_bytes() == (place / "case_001_seg.nii.gz").read_bytes()
    labels = {file.name for file in (place / "STUDIES" / "labels" / "final").glob("*.nii.gz")}
    assert labels == {"case_001.nii.gz"}
    originals = {file.name for file in (place / "STUDIES" / "labels" / "original").glob("*.nii.gz")}
    assert originals == {"case_002.nii.gz", "case_003.nii.gz"}
    assert set(np.unique(np.asanyarray(seg.dataobj))) <= {0, 1, 2}
    trained = page_server.work / "model" / "volumes"
    assert list(trained.glob("removed_*.pt"))
    assert not (trained / "model.pt").exists()


def test_options_models_and_defaults_on_the_page_are_those_of_the_server(server: Any) -> None:
    text, info = PAGE.read_text(encoding="utf-8"), server.get("/info/").json()
    for model, entry in info["models"].items():
        assert f"| `{model}` |" in text
        assert all(f"| `{name}` |" in text for name in entry["config"]), entry["config"]
    for entry in info["trainers"].values():
        assert all(f"`{name}`" in text for name in entry["config"]), entry["config"]
        assert entry["config"]["max_epochs"] == 20
    assert set(info["strategies"]) == {"first", "random", "uncertainty"}
