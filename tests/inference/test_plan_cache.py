"""Plans are kept whole or not at all, and found again only for the same machine and network."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from bundle.inference import plan_cache
from bundle.inference.plan_cache import PlanCache, default_folder, describe_machine, describe_networks

KEY, CHOSEN = {"network": "a", "window": [1, 8]}, {"plan": {"dtype": "bf16"}}
CPU = torch.device("cpu")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path / "new" / "folder")
    assert cache.read(KEY) is None
    cache.write(KEY, CHOSEN)
    assert cache.read(KEY) == CHOSEN
    assert cache.read({**KEY, "network": "b"}) is None
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [cache.path(KEY).name]


def test_without_a_folder_nothing_is_kept() -> None:
    cache = PlanCache(None)
    cache.write(KEY, CHOSEN)
    cache.write(KEY, CHOSEN, lasting=False)
    assert cache.read(KEY) is None


def test_what_shall_not_last_is_read_in_this_process_alone(tmp_path: Path) -> None:
    PlanCache(tmp_path).write(KEY, CHOSEN, lasting=False)
    assert list(tmp_path.iterdir()) == []
    assert PlanCache(tmp_path).read(KEY) == CHOSEN
    lasting = {"plan": {"dtype": "fp32"}}
    PlanCache(tmp_path).write(KEY, lasting)
    assert PlanCache(tmp_path).read(KEY) == lasting


def test_what_may_be_improved_is_read_here_and_by_later_processes(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    cache.write(KEY, CHOSEN, final=False)
    assert cache.path(KEY).is_file()
    assert PlanCache(tmp_path).holds(KEY)
    assert cache.read(KEY) == CHOSEN
    cache.write(KEY, CHOSEN)
    assert not cache.holds(KEY)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"{}", b'{"key": {}, "chosen": 1}'])
def test_a_damaged_file_is_no_plan(tmp_path: Path, content: bytes) -> None:
    cache = PlanCache(tmp_path)
    cache.path(KEY).write_bytes(content)
    assert cache.read(KEY) is None
    cache.write(KEY, CHOSEN)
    assert cache.read(KEY) == CHOSEN


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PlanCache(tmp_path)
    cache.write(KEY, CHOSEN)

    def full(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    cache.write(KEY, {"plan": {}})
    assert cache.read(KEY) == CHOSEN
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    PlanCache(tmp_path / "file" / "folder").write(KEY, CHOSEN)
    assert PlanCache(tmp_path / "file" / "folder").read(KEY) is None


def test_the_folder_is_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "keyslice"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "keyslice"


def test_the_machine_is_identified_by_processor_cores_threads_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = describe_machine(CPU)
    json.dumps(machine)
    assert machine["device"]
    assert machine["threads"] == torch.get_num_threads()
    assert machine["versions"].keys() == {"torch", "monai", "keyslice"}
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert describe_machine(CPU)["cores"] == os.cpu_count()
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a large one")
    assert describe_machine(torch.device("cuda"))["device"] == "a large one"


@pytest.mark.parametrize(
    ("content", "name"), [("cpu\t: 0\nmodel name\t: Quick 9\nmodel name\t: Quick 9\n", "Quick 9"), ("", "x1")]
)
def test_a_processor_has_a_name(content: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_cache.Path, "read_text", lambda self, encoding: content)
    monkeypatch.setattr(plan_cache.platform, "processor", lambda: "")
    monkeypatch.setattr(plan_cache.platform, "machine", lambda: "x1")
    assert describe_machine(CPU)["device"] == name


def test_without_procfs_the_processor_has_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: Path, encoding: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(plan_cache.Path, "read_text", absent)
    monkeypatch.setattr(plan_cache.platform, "processor", lambda: "arm")
    assert describe_machine(CPU)["device"] == "arm"


def test_structure_and_weights_have_digests_of_their_own() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2)).eval()
    same, trained = copy.deepcopy(network), copy.deepcopy(network)
    with torch.no_grad():
        trained[1].running_mean += 1
    wider = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 5), torch.nn.BatchNorm3d(2)).eval()
    first, second, third, fourth = (describe_networks([item]) for item in (network, same, trained, wider))
    assert first is not None
    assert first == second
    assert third is not None
    assert third["structure"] == first["structure"]
    assert third["weights"] != first["weights"]
    assert fourth is not None
    assert fourth["structure"] != first["structure"]
    assert describe_networks([network, network]) != first


def test_a_function_has_no_digest() -> None:
    assert describe_networks([torch.relu]) is None
