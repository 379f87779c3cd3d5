"""The file of a network in int8 belongs to its weights, and its network takes windows of one size only."""

from __future__ import annotations

import logging
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from helpers.int8_files import write_sign_network
from helpers.phantoms import noise

from bundle import ROOT
from bundle.inference import int8_network
from bundle.inference.int8_network import ABOUT, GRAPH, Int8Network, find_int8, int8_path, read_int8, without_telemetry
from bundle.utils.errors import FileError

WINDOW = [1, 4, 6, 5]
RELEASE_THEN_SIGNAL = """
import signal, sys, threading
from bundle.inference.int8_network import Int8Network, read_int8
networks = [Int8Network(read_int8(sys.argv[1]))]
thread = threading.Thread(target=networks.clear)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    write_sign_network(tmp_path / "model.pt", WINDOW)
    return tmp_path / "model.pt"


def test_the_scores_of_a_batch_are_those_of_its_windows(checkpoint: Path) -> None:
    windows = torch.as_tensor(noise((3, *WINDOW), 0))
    scores = Int8Network(read_int8(int8_path(checkpoint)), threads=1)(windows)
    assert torch.equal(scores, torch.cat([windows, -windows], dim=1))


def test_later_scores_do_not_change_earlier_ones(checkpoint: Path) -> None:
    network, first = Int8Network(read_int8(int8_path(checkpoint))), torch.ones(1, *WINDOW)
    scores = network(first)
    network(2 * first)
    assert torch.equal(scores[:, :1], first)


def test_a_network_that_another_thread_releases_leaves_the_process_able_to_take_signals(checkpoint: Path) -> None:
    command = [sys.executable, "-c", RELEASE_THEN_SIGNAL, str(int8_path(checkpoint))]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")


@pytest.mark.parametrize("shape", [(1, 1, 8, 6, 5), (1, 2, 4, 6, 5), (1, 1, 4, 6, 4)])
def test_windows_of_another_size_are_refused_with_both_sizes(checkpoint: Path, shape: tuple[int, ...]) -> None:
    network = Int8Network(read_int8(int8_path(checkpoint)))
    with pytest.raises(ValueError, match=r"for windows of the shape \[1, 4, 6, 5\], got \[") as error:
        network(torch.zeros(shape))
    assert str(list(shape[1:])) in str(error.value)


def test_the_file_next_to_its_weights_is_found(checkpoint: Path) -> None:
    found = find_int8(checkpoint)
    assert found is not None
    assert found.path == checkpoint.with_name("model_int8.zip")
    assert found.window == WINDOW
    assert found == find_int8(str(checkpoint))


def test_nothing_is_found_without_weights_or_a_file(tmp_path: Path, checkpoint: Path) -> None:
    assert find_int8(None) is None
    assert find_int8(tmp_path / "other.pt") is None
    checkpoint.unlink()
    assert find_int8(checkpoint) is None


def test_a_file_of_other_weights_is_not_used_and_logged(checkpoint: Path, caplog: Any) -> None:
    checkpoint.write_bytes(b"other weights")
    assert find_int8(checkpoint) is None
    assert f"belongs to other weights than {checkpoint}" in caplog.text


def test_without_openvino_the_file_is_not_used_and_logged(
    checkpoint: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_network, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        assert find_int8(checkpoint) is None
    assert "OpenVINO is not installed: pip install 'keyslice[openvino]'" in caplog.text


def rewrite(path: Path, **members: bytes | None) -> None:
    """Replace members of an archive; None removes one."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in {**content, **members}.items():
            if value is not None:
                archive.writestr(name, value)


@pytest.mark.parametrize(
    "members", [{ABOUT: b"{}"}, {ABOUT: b"{"}, {ABOUT: b'{"weights": 1, "window": []}'}, {ABOUT: None}, {GRAPH: None}]
)
def test_a_damaged_file_is_not_used_and_logged(checkpoint: Path, caplog: Any, members: Any) -> None:
    rewrite(int8_path(checkpoint), **members)
    assert find_int8(checkpoint) is None
    assert "model_int8.zip: is damaged; write it again by python -m bundle quantize" in caplog.text


def test_a_file_that_is_no_archive_is_damaged(checkpoint: Path) -> None:
    int8_path(checkpoint).write_bytes(b"no archive")
    with pytest.raises(FileError, match=r"model_int8.zip: is damaged"):
        read_int8(int8_path(checkpoint))


def test_a_damaged_graph_is_named_when_it_is_read(checkpoint: Path) -> None:
    rewrite(int8_path(checkpoint), **{GRAPH: b"<no graph>"})
    with pytest.raises(FileError, match=r"model_int8.zip: is damaged"):
        Int8Network(read_int8(int8_path(checkpoint)))


def test_the_module_that_reports_to_the_makers_of_openvino_is_hidden_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "openvino_telemetry"
    monkeypatch.delitem(sys.modules, name, raising=False)
    with without_telemetry():
        assert sys.modules[name] is None  # type: ignore[comparison-overlap]
    assert name not in sys.modules
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    with without_telemetry():
        assert sys.modules[name] is None  # type: ignore[comparison-overlap]
    assert sys.modules[name] is module
