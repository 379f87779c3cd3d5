"""MONAI's tools take a packed task as it is, and it gives the results of the project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from contracts import config as contract
from helpers.disc_cases import write_spines
from helpers.phantoms import write_case
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.cli import main as commands
from bundle.export import pack
from bundle.export.pack import PackError, pack_files, root_of, write_pack
from bundle.inference.plausibility import REGION, FeatureDistribution, Reference, write_reference

SCHEMA = Path(ROOT, "tests", "schemas", "meta_schema_20240725.json")
FOLDERS = [folder for folder in contract.TASKS if Path(ROOT, "models", folder, "model.pt").is_file()]
"""Folders of the tasks whose weights are there."""

TASKS = [pack.MAIN if folder == "." else folder for folder in FOLDERS]
SITE = sysconfig.get_paths()["purelib"]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pack of every task, by its name."""
    folder = tmp_path_factory.mktemp("packs")
    for task in TASKS:
        write_pack(task, folder / task)
    return folder


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def small_project(folder: Path) -> Path:
    """Write a project with a main task and one further task ``a``, of one line each."""
    write = {"bundle/__init__.py": "", "bundle/__pycache__/x.pyc": "", "bundle/.hidden": "", "LICENSE": "free"}
    card = {"name": "Small", "description": "d", "task": "t", "data_source": "s", "image_classes": "i"}
    card |= {"label_classes": "l", "intended_use": "u", "limitations": [], "references": []}
    card |= {"eval_metrics": {"cases": "c", "note": "n", "rows": "r", "command": "x", "structures": {"s": {}}}}
    for place in ("", "a/"):
        weights = {"path": f"models/{place}model.pt", "sha256": "0", "parameters": 1, "training": "none"}
        write[f"configs/{place}metadata.json"] = json.dumps({**card, "weights": weights})
        write[f"configs/{place}evaluate.json"] = "{}"
        write[f"configs/{place}inference.json"] = json.dumps(
            {"checkpoint": f"$@bundle_root + '/models/{place}model.pt'", "postprocessing": {"transforms": []}}
        )
        write[f"configs/{place}train.json"] = json.dumps(
            {"output_dir": "", "train": {"trainer": {"max_epochs": 1}, "handlers": []}}
        )
        write[f"models/{place}model.pt"] = "weights"
    for name, text in write.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_pack_has_the_layout_of_a_bundle(packs: Path) -> None:
    for task in TASKS:
        names = {file.relative_to(packs / task).as_posix() for file in (packs / task).rglob("*") if file.is_file()}
        assert {f"configs/{name}.json" for name in ("metadata", "train", "evaluate", "inference")} <= names
        assert {"configs/logging.conf", "models/model.pt", "docs/README.md", "LICENSE", "bundle/__main__.py"} <= names
        assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]
        assert {name.split("/")[0] for name in names} == {"configs", "models", "docs", "LICENSE", "bundle"}


def test_a_pack_holds_one_task_and_all_files_that_its_configs_name(packs: Path) -> None:
    others = [folder for folder in contract.TASKS if folder != "."]
    for task in TASKS:
        for file in (packs / task / "configs").rglob("*.json"):
            text = file.read_text(encoding="utf-8")
            assert not [name for name in others if f"configs/{name}/" in text or f"models/{name}/" in text], file
            for name in re.findall(r"'/(models/[\w./-]+)'", text):
                assert (packs / task / name).is_file(), f"{file}: {name}"
        assert not [name for name in others if (packs / task / "configs" / name).exists()]


def test_plausible_results_come_along_with_the_weights(tmp_path: Path) -> None:
    root = small_project(tmp_path / "project")
    assert "models/model_plausibility.json" not in pack_files("volumes", root)
    (root / "models" / "model_plausibility.json").write_text("{}")
    (root / "models" / "a" / "model_plausibility.json").write_text("[]")
    (root / "models" / "model_int8.zip").write_bytes(b"int8")
    assert pack_files("volumes", root)["models/model_plausibility.json"] == b"{}"
    assert pack_files("a", root)["models/model_plausibility.json"] == b"[]"
    assert pack_files("volumes", root)["models/model_int8.zip"] == b"int8"
    assert "models/model_int8.zip" not in pack_files("a", root)


def test_regions_are_found_if_the_packed_weights_know_them(tmp_path: Path) -> None:
    root = small_project(tmp_path / "project")
    file = root / "configs" / "inference.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "find_regions": "auto"}))

    def packed() -> Any:
        return json.loads(pack_files("volumes", root)["configs/inference.json"])["find_regions"]

    assert packed() == "auto"
    known = FeatureDistribution(3, ["volume_mm3"], [1.0], [[1.0]])
    write_reference(root / "models" / "model.pt", Reference({REGION: known}))
    assert packed() is True


def test_overlays_and_splits_that_a_task_names_come_along(packs: Path) -> None:
    for name in ("networks/vnet.json", "explain.json"):
        assert (packs / "volumes" / "configs" / name).is_file()
    split = "datasets/hippocampus_split.json"
    assert read(packs / "volumes" / "configs" / split) == contract.read(split)
    assert not (packs / "disc_labeling" / "configs" / "datasets").exists()
    assert (packs / "disc_labeling" / "models" / "skeleton.json").is_file()


@pytest.mark.filterwarnings("ignore:No hash value provided:UserWarning")
@pytest.mark.parametrize("task", TASKS)
def test_the_metadata_of_a_pack_follows_the_schema(task: str, packs: Path) -> None:
    monai.bundle.verify_metadata(meta_file=str(packs / task / "configs" / "metadata.json"), filepath=str(SCHEMA))
    assert read(packs / task / "configs" / "metadata.json")["weights"]["path"] == "models/model.pt"


@pytest.mark.parametrize("task", TASKS)
def test_the_network_of_a_pack_maps_the_shapes_of_its_metadata(task: str, packs: Path) -> None:
    configs = packs / task / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.json")}
    monai.bundle.verify_net_in_out(net_id="network_def", device="cpu", **files)


@pytest.mark.parametrize("task", TASKS)
def test_a_pack_exports_to_torchscript(task: str, packs: Path, tmp_path: Path) -> None:
    configs = packs / task / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.json")}
    weights = {"ckpt_file": str(packs / task / "models" / "model.pt"), "filepath": str(tmp_path / "model.ts")}
    monai.bundle.ckpt_export(net_id="network_def", **files, **weights)
    assert torch.jit.load(tmp_path / "model.ts")


@pytest.mark.parametrize("kind", ["train", "inference"])
@pytest.mark.parametrize("task", TASKS)
def test_monai_loads_the_network_of_a_pack_with_its_weights(task: str, kind: str, packs: Path) -> None:
    network = monai.bundle.load(task, bundle_dir=packs, workflow_type=kind, device="cpu")
    wanted = torch.load(packs / task / "models" / "model.pt", weights_only=True)
    assert network.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("workflow", contract.WORKFLOWS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_workflows_of_a_pack_have_all_properties(folder: str, workflow: str, packs: Path, tmp_path: Path) -> None:
    contract.TASKS[folder].write(tmp_path, 6)
    place = packs / (pack.MAIN if folder == "." else folder)
    options = {"input": str(tmp_path / "images")} if workflow == "inference" else {"dataset_dir": str(tmp_path)}
    created = create_workflow(
        config_file=str(place / "configs" / f"{workflow}.json"),
        workflow_type="train" if workflow == "train" else "infer",
        logging_file=False,
        bundle_root=str(place),
        output_dir=str(tmp_path / "out"),
        **options,
    )
    assert created.check_properties() == []


def run_alone(config: Path, *options: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run a config with all packages of this environment except keyslice, which a ``.pth`` file adds."""
    command = [sys.executable, "-S", "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", str(config)]
    environment = {**os.environ, "PYTHONPATH": SITE, "OMP_NUM_THREADS": "1"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run([*command, *options], cwd=cwd, env=environment, check=False, **pipe)


@pytest.mark.slow
def test_a_pack_runs_from_any_directory_and_gives_the_labels_of_the_project(packs: Path, tmp_path: Path) -> None:
    image = write_case(tmp_path, "case", (36, 40, 32))["image"]
    options = ["--input", image, "--device", "cpu", "--plan", "fp32", "--plausible_distance", "null"]
    place = packs / "volumes"
    run = run_alone(
        place / "configs" / "inference.json",
        *("--bundle_root", str(place), "--output_dir", str(tmp_path / "packed"), *options),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout
    own = create_workflow(
        config_file=str(Path(ROOT, "configs", "inference.json")),
        workflow_type="infer",
        logging_file=False,
        **{"input": image, "device": "cpu", "plan": "fp32", "plausible_distance": "null"},
        output_dir=str(tmp_path / "own"),
    )
    own.run()
    labels = [np.asanyarray(nib.load(tmp_path / name / "case_seg.nii.gz").dataobj) for name in ("packed", "own")]
    assert np.array_equal(*labels)
    assert labels[0].any()


@pytest.mark.slow
def test_within_the_pack_of_discs_no_root_has_to_be_named(packs: Path, tmp_path: Path) -> None:
    write_spines(tmp_path, 1)
    place = packs / "disc_labeling"
    options = ["--input", str(tmp_path / "images"), "--output_dir", str(tmp_path / "out"), "--figure", "false"]
    run = run_alone(place / "configs" / "inference.json", *options, "--device", "cpu", cwd=place)
    assert run.returncode == 0, run.stdout
    assert "1 cases completed, 0 skipped" in run.stdout


def test_a_training_takes_the_overrides_of_the_stock_app_and_replaces_the_weights(packs: Path, tmp_path: Path) -> None:
    cases = [write_case(tmp_path, f"case{number}", (16, 16, 16), seed=number) for number in range(2)]
    data = [{key: case[key] for key in ("image", "label")} for case in cases]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes(b"old")
    config = packs / "volumes" / "configs" / "train.json"
    loader = {"_target_": "CheckpointLoader", "load_path": "", "load_dict": {"model": "$@network"}, "_disabled_": True}
    training = create_workflow(
        config_file=str(config),
        workflow_type="train",
        logging_file=False,
        **{
            "bundle_root": str(tmp_path),
            "device": "cpu",
            "train#trainer#max_epochs": 2,
            "warmup": 0,
            "train#dataset#data": data,
            "validate#dataset#data": data[:1],
            "train#handlers": [loader, *read(config)["train"]["handlers"]],
            "network_def#channels": [4, 8],
            "roi_size": [16, 16, 16],
        },
    )
    training.run()
    training.finalize()
    assert training.parser.get_parsed_content("lr_scheduler").lr_lambdas[0](2) == pytest.approx(0)
    made = (tmp_path / "runs" / "train" / "model.pt").read_bytes()
    assert (tmp_path / "models" / "model.pt").read_bytes() == made != b"old"


def test_the_root_is_the_pack_of_the_package_or_the_working_directory(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = read(packs / "volumes" / "configs" / "metadata.json")["pack"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackError, match=r"pack of the task 'volumes'.*--bundle_root"):
        root_of(known)
    monkeypatch.chdir(packs / "disc_labeling")
    with pytest.raises(PackError, match="neither where the package"):
        root_of(known)
    monkeypatch.chdir(packs / "volumes")
    assert root_of(known) == str(packs / "volumes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pack, "ROOT", str(packs / "volumes"))
    assert root_of(known) == str(packs / "volumes")


def test_the_page_of_a_pack_leads_nowhere_outside(packs: Path) -> None:
    for task in TASKS:
        page = (packs / task / "docs" / "README.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {read(packs / task / 'configs' / 'metadata.json')['name']}\n")
        assert "# Model card" in page
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page):
            assert (packs / task / "docs" / target).is_file(), target


def test_a_root_without_the_package_packs_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an installed wheel the root is the folder ``_root`` in the package."""
    files = pack_files("volumes", small_project(tmp_path / "project"))
    (tmp_path / "project" / "bundle" / "_root").mkdir()
    for name in ("configs", "models", "LICENSE"):
        (tmp_path / "project" / name).rename(tmp_path / "project" / "bundle" / "_root" / name)
    monkeypatch.setattr(pack, "PACKAGE", tmp_path / "project" / "bundle")
    assert pack_files("volumes", tmp_path / "project" / "bundle" / "_root") == files


def test_the_same_task_gives_the_same_bytes(tmp_path: Path) -> None:
    root = small_project(tmp_path / "project")
    archives = []
    for name in ("x", "y"):
        write_pack("volumes", tmp_path / name / "pack", archive=True, root=root)
        archives.append((tmp_path / name / "pack.zip").read_bytes())
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "x" / "pack.zip") as archive:
        unpacked = {name: archive.read(name) for name in archive.namelist()}
    assert unpacked == {f"pack/{name}": content for name, content in pack_files("volumes", root).items()}


def test_a_pack_of_a_small_project_is_what_belongs_to_the_task(tmp_path: Path) -> None:
    root = small_project(tmp_path)
    assert list(pack_files("a", root)) == list(pack_files("volumes", root))
    assert list(pack_files("a", root)) == [
        *("LICENSE", "bundle/__init__.py", "configs/evaluate.json", "configs/inference.json", "configs/metadata.json"),
        *("configs/train.json", "docs/README.md", "models/model.pt"),
    ]
    assert b"models/model.pt" in pack_files("a", root)["configs/inference.json"]


def test_overlays_of_datasets_belong_to_the_main_task_and_lists_of_cases_to_those_that_name_them(
    tmp_path: Path,
) -> None:
    root = small_project(tmp_path)
    (root / "configs" / "datasets").mkdir()
    for name, content in {"msd": {"epochs": 3}, "a_split": {"training": []}, "b_split": {"training": []}}.items():
        (root / "configs" / "datasets" / f"{name}.json").write_text(json.dumps(content))
    (root / "docs").mkdir()
    (root / "docs" / "a.md").write_text("`configs/datasets/a_split.json` ![no](no.png) [b](b.md) [x](#x)")
    found = {
        task: [name for name in pack_files(task, root) if name.startswith("configs/datasets/")]
        for task in ("volumes", "a")
    }
    assert found == {"volumes": ["configs/datasets/msd.json"], "a": ["configs/datasets/a_split.json"]}
    assert b"a_split.json` no b [x](#x)" in pack_files("a", root)["docs/README.md"]


def test_a_folder_with_files_in_it_is_written_to_only_when_asked(tmp_path: Path) -> None:
    root, target = small_project(tmp_path / "project"), tmp_path / "out"
    write_pack("volumes", target, root=root)
    (target / "mine.txt").write_text("mine")
    (target / "LICENSE").write_text("changed")
    with pytest.raises(PackError, match=r"out is not empty; .*--overwrite"):
        write_pack("volumes", target, root=root)
    assert (target / "LICENSE").read_text() == "changed"
    write_pack("volumes", target, root=root, overwrite=True)
    assert ((target / "LICENSE").read_text(), (target / "mine.txt").read_text()) == ("free", "mine")
    (tmp_path / "new.zip").write_bytes(b"mine")
    with pytest.raises(PackError, match=r"new\.zip exists"):
        write_pack("volumes", tmp_path / "new", root=root, archive=True)
    assert not (tmp_path / "new").exists()
    write_pack("volumes", tmp_path / "new", root=root, archive=True, overwrite=True)
    assert zipfile.is_zipfile(tmp_path / "new.zip")


def test_nothing_is_written_into_the_project_or_over_a_file(tmp_path: Path) -> None:
    root = small_project(tmp_path / "project")
    for target in (root, root / "configs", root / "bundle" / "x"):
        with pytest.raises(PackError, match="part of the packed project"):
            write_pack("volumes", target, root=root, overwrite=True)
    with pytest.raises(PackError, match="is a file"):
        write_pack("volumes", root.parent / "project" / "LICENSE", root=root)


def test_a_task_that_cannot_be_packed_leaves_nothing(tmp_path: Path) -> None:
    root, target = small_project(tmp_path / "project"), tmp_path / "out"
    with pytest.raises(PackError, match="'b' is not a task; the tasks are volumes, a"):
        write_pack("b", target, root=root)
    (root / "models" / "a" / "model.pt").unlink()
    with pytest.raises(PackError, match=r"models/a/model\.pt does not exist, but inference\.json names it"):
        write_pack("a", target, root=root)
    (root / "configs" / "a" / "train.json").unlink()
    with pytest.raises(PackError, match=r"configs/a lacks train\.json"):
        write_pack("a", target, root=root)
    assert not target.exists()


def test_weights_that_an_overlay_names_may_be_missing(tmp_path: Path) -> None:
    root = small_project(tmp_path)
    (root / "configs" / "networks").mkdir()
    (root / "configs" / "networks" / "other.json").write_text('{"checkpoint": "models/other.pt"}')
    assert "configs/networks/other.json" in pack_files("volumes", root)
    assert "models/other.pt" not in pack_files("volumes", root)


def test_a_pack_is_not_packed_again(packs: Path, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="is a pack already"):
        write_pack("volumes", tmp_path / "out", root=packs / "volumes")


def test_the_command_packs_and_logs_a_mistake_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert commands.main(["pack", "volumes", str(tmp_path / "out"), "--zip"]) == 0
    assert (tmp_path / "out.zip").is_file()
    assert commands.main(["pack", "volumes", str(tmp_path / "out")]) == 2
    assert "the task 'volumes' as a MONAI bundle" in caplog.text
    assert "is not empty" in caplog.text
