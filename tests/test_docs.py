"""Every command on a page of the documentation runs; the ones that train do so at test size."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from pydoc import locate

import pytest
import torch
from contracts.original_volumes import Options, original
from helpers.classified_cases import write_classified
from helpers.image_cases import write_lesions
from helpers.warm_python import warm_command_line
from helpers.workflows import small_dataset, small_options

from bundle import ROOT

PAGES = [Path(ROOT, "README.md"), Path(ROOT, "CONTRIBUTING.md"), *sorted(Path(ROOT, "docs").glob("*.md"))]
RUN_BY_CI = ("make demo", "make test")
"""The first commands of the README, which `.ci/run` runs, too."""
NOT_RUN = ("make bench", "pip install", "PIP_CONSTRAINT=", "python3 -m venv")
"""Minutes of measuring, and installing, which `make demo` and `make test` do."""

SMALL_DISC_TRAINING = [
    *("--epochs", "1", "--samples_per_epoch", "4", "--batch_size", "2", "--val_interval", "1"),
    *("--network_def#width", "8", "--device", "cpu", "--gif_cases", "0"),
]

SMALL_IMAGE_TRAINING = [
    *("--epochs", "1", "--val_interval", "1", "--batch_size", "2", "--device", "cpu"),
    *("--roi_size", "[64, 64]"),
]

SMALL_CLASS_TRAINING = [
    *("--epochs", "1", "--val_interval", "1", "--batch_size", "2", "--device", "cpu"),
    *("--roi_size", "[32, 32]", "--crop_scales", "[0.8]"),
]

ACCEPT_PHANTOMS = ["--plausible_distance", "null"]
"""The shipped model refuses what is no hippocampus."""


def commands(page: Path) -> list[str]:
    """Return the commands in the bash blocks of a page; a backslash continues a line."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def cases() -> list[tuple[str, list[str]]]:
    """Return the commands to run by page; those of one page share their folders and keep their order."""
    found = []
    for page in PAGES:
        wanted = [line for line in commands(page) if not line.startswith((*RUN_BY_CI, *NOT_RUN))]
        if wanted:
            found.append((page.name, wanted))
    return found


def arguments(command: str, folder: Path) -> list[str]:
    """Turn a command into arguments behind ``python -m``, with real folders and at test size."""
    words = shlex.split(command)
    places = {"DIR": folder / "data", "FILE_OR_FOLDER": folder / "data" / "images", "OUT": folder / "out"}
    places |= {"ORIGINAL": folder / "original.pth", "PHANTOMS": folder / "phantoms", "IMAGES": folder / "images"}
    places |= {"LESIONS": folder / "lesions", "MODEL": folder / "model.pt"}
    pattern = rf"(?<![^'])({'|'.join(places)})(?=$|/)"
    words = [re.sub(pattern, lambda match: str(places[match[0]]), word) for word in words]
    module = words[2:] if words[:2] == ["python", "-m"] else ["torch.distributed.run", *words[1:]]
    if "--count" in module:
        module[module.index("--count") + 1] = "5"
    if re.search(r" (run --config_file (OUT/hippocampus/)?|cohort )configs/inference\.json", command):
        module += ACCEPT_PHANTOMS
    if "disc_labeling/train.json" in command:
        module += SMALL_DISC_TRAINING
    elif "lesion_classification/train.json" in command:
        module += SMALL_CLASS_TRAINING
    elif "lesion_segmentation/train.json" in command or "cell_segmentation/train.json" in command:
        module += SMALL_IMAGE_TRAINING
    elif "plan/plan.json" in command and "train.json" in command:
        module += ["--epochs", "1", "--iterations_per_epoch", "1", "--val_interval", "1"]
    elif "train.json" in command:
        module += ["--epochs", "1", "--attention", "pam", *small_options()]
        if "vnet" in command:
            module += ["--network_def#levels#convs", "[1]"]
    return module


@pytest.mark.slow
@pytest.mark.parametrize(("page", "lines"), cases(), ids=[page for page, _ in cases()])
def test_the_commands_of_the_page_run(page: str, lines: list[str], tmp_path: Path) -> None:
    small_dataset(tmp_path / "data", count=10)
    (tmp_path / "out").mkdir()
    if any(" ORIGINAL " in line for line in lines):
        torch.save(original("agscSEunet3d", Options(depth=16)).float().state_dict(), tmp_path / "original.pth")
    if any(" MODEL" in line for line in lines):
        shutil.copy(Path(ROOT, "models", "model.pt"), tmp_path / "model.pt")
    if any(" IMAGES" in line for line in lines):
        write_lesions(tmp_path / "images", 6)
    (tmp_path / "out" / "qc.csv").write_text("case,rating\ncase0,fail\n")
    if any(" LESIONS" in line for line in lines):
        write_classified(tmp_path / "lesions", 12)
    for line in lines:
        assert line.startswith(("python -m ", "torchrun ")), f"{page}: not a command that this test can run: {line}"
        run = warm_command_line(*arguments(line, tmp_path))
        assert run.returncode == 0, f"{page}: {line}\n{run.stdout}"


@pytest.mark.parametrize("command", RUN_BY_CI)
def test_the_first_commands_of_the_readme_are_run_by_ci(command: str) -> None:
    assert command in commands(PAGES[0])
    assert f"\n{command}\n" in Path(ROOT, ".ci", "run").read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def test_files_that_the_pages_name_exist() -> None:
    folders = "benchmarks|bundle|configs|docs|models|tests|tools"
    for page in PAGES:
        for name in re.findall(rf"(?<![\w/.])(?:{folders})/[\w./-]*\w", page.read_text(encoding="utf-8")):
            assert "NAME" in name or Path(ROOT, name).exists(), f"{page.name}: {name}"


def test_python_names_on_the_pages_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"(?<![\w.])bundle(?:\.\w+)+", page.read_text(encoding="utf-8")):
            assert locate(name) is not None, f"{page.name}: {name}"
