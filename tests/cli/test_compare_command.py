"""`compare` passes its options and overrides on; failed trainings give status 2."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.cli.main import main


def compare(monkeypatch: pytest.MonkeyPatch, *words: str, failed: int = 0) -> tuple[int, Any]:
    """Return the exit status and the options of the comparison."""
    called: list[Any] = []

    def comparison(*call: Any, **options: Any) -> dict[str, Any]:
        called.append((call, options))
        return {"failed": failed, "skipped": 0}

    monkeypatch.setattr("bundle.experiments.compare.comparison.compare", comparison)
    try:
        status = main(["compare", "--dataset_dir", "data", "--output_dir", "out", *words])
    except SystemExit as end:
        status = int(end.code or 0)
    return status, called[0]


def test_options_and_overrides_reach_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--attention", "none,se", "--folds", "2", "--seeds", "1", "--epochs", "4", "--batch_size", "3"]
    status, (call, options) = compare(monkeypatch, *words)
    assert (status, call) == (0, ("data", "out"))
    assert (options["folds"], options["seeds"], options["epochs"]) == (2, 1, 4)
    assert (options["datalist"], options["split_seed"]) == (None, None)
    assert options["overrides"] == {"batch_size": 3}
    assert len(options["attention"]) == 2


def test_a_failed_training_gives_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare(monkeypatch, failed=1)[0] == 2
