"""`root` prints the folder of the configs."""

from __future__ import annotations

import pytest

from bundle import ROOT
from bundle.cli.main import main


def test_root_prints_the_folder_of_the_configs(capsys: pytest.CaptureFixture) -> None:
    assert main(["root"]) == 0
    assert capsys.readouterr().out == f"{ROOT}\n"
