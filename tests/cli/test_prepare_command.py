"""``python -m bundle prepare`` has a command with help for every dataset."""

from __future__ import annotations

import pytest

from bundle.cli.main import build_parser

DATASETS = (
    *("folder", "msd", "brats2018", "malc", "hvsmr", "bids", "phantom"),
    *("spine-generic", "spine-exams", "spine-phantoms"),
    *("isic2017", "isic2018", "ph2", "segpc2021", "images", "classified"),
)


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_has_a_command_with_help(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(["prepare", name, "--help"])
    assert end.value.code == 0
    assert "dataset_dir" in capsys.readouterr().out


def test_all_commands_are_listed(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["prepare", "--help"])
    shown = capsys.readouterr().out
    assert [name for name in DATASETS if f"\n    {name}" not in shown] == []
