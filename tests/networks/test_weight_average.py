"""The mean of the weights of several trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bundle.cli.main import main
from bundle.networks import WeightsError
from bundle.networks.weight_average import average_weights


def write(path: Path, *, scale: float, width: int = 3, inside: str | None = None) -> Path:
    network = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    state = {
        key: torch.full_like(value, scale) if value.is_floating_point() else value.fill_(int(scale))
        for key, value in network.state_dict().items()
    }
    torch.save({inside: state} if inside else state, path)
    return path


def test_the_mean_is_that_of_every_number_and_counters_are_the_first(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.pt", scale=1),
        write(tmp_path / "b.pt", scale=2, inside="network"),
        write(tmp_path / "c.pt", scale=6, inside="model"),
    ]
    average_weights(files, tmp_path / "new" / "mean.pt")
    mean = torch.load(tmp_path / "new" / "mean.pt", weights_only=True)
    assert {key: value.unique().tolist() for key, value in mean.items() if value.is_floating_point()} == {
        key: [3.0] for key in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    }
    assert mean["1.num_batches_tracked"] == 1
    assert mean["0.weight"].dtype == torch.float32


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.pt", scale=1), write(tmp_path / "b.pt", scale=1, width=4)]
    with pytest.raises(WeightsError, match=r"b\.pt is of another network than .*a\.pt: 0\.bias, 0\.weight, 1\.bias"):
        average_weights(files, tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()


def test_a_single_file_has_no_mean(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="two files or more, got"):
        average_weights([tmp_path / "a.pt"], tmp_path / "mean.pt")


def test_the_command_reports_a_mistake_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = ["average", str(tmp_path / "a.pt"), str(tmp_path / "b.pt"), "--output", str(tmp_path / "mean.pt")]
    assert main(command) == 2
    assert f"checkpoint {tmp_path / 'a.pt'} does not exist" in caplog.text
    write(tmp_path / "a.pt", scale=1)
    write(tmp_path / "b.pt", scale=3)
    assert main(command) == 0
    assert torch.load(tmp_path / "mean.pt", weights_only=True)["0.bias"].tolist() == [2.0] * 3
