"""`label` starts the server with its options."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


def test_options_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(
        "bundle.server.start_command.start_server", lambda *call, **options: called.append((call, options))
    )
    assert main(["label", "--studies", "x", "--port", "9"]) == 0
    options = ["--models", "volumes", "--host", "0.0.0.0", "--work", "w", "--model", "m", "--qc", "q"]  # noqa: S104
    assert main(["label", *options]) == 0
    assert called == [
        (("x",), {"models": None, "model": None, "qc": None, "host": "127.0.0.1", "port": 9, "work": None}),
        (
            (None,),
            {"models": "volumes", "model": "m", "qc": "q", "host": "0.0.0.0", "port": 8000, "work": "w"},  # noqa: S104
        ),
    ]


def test_the_folder_of_the_images_must_be_named(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["label"]) == 2
    assert "--studies is missing; pass the folder of the images, or the qc.csv" in caplog.text
