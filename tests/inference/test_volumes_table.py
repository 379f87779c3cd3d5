"""The table has a row per case: identifiers, numbers of every structure, remarks and errors."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
from ignite.engine import Engine, Events

from bundle.inference import CaseRecord, RunSummary, VolumesTable


def completed(case: str, labels: dict[str, dict], **more: object) -> CaseRecord:
    """Return the record of a completed case."""
    record = CaseRecord(case, f"in/{case}.nii.gz", **more)  # type: ignore[arg-type]
    record.complete({"labels": labels})
    return record


def rows_of(tmp_path: Path, records: list[CaseRecord], event: Events = Events.COMPLETED, **options: object) -> list:
    """Return header and rows of the table of records; none without a table."""
    summary = RunSummary(tmp_path, sources=[SimpleNamespace(records=records)])
    engine = Engine(lambda *_: None)
    VolumesTable(tmp_path / "out", summary=summary, **options).attach(engine)  # type: ignore[arg-type]
    engine.fire_event(event)
    path = tmp_path / "out" / "volumes.csv"
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines())) if path.is_file() else []


@pytest.mark.parametrize("event", [Events.COMPLETED, Events.TERMINATE])
def test_a_row_has_the_numbers_of_all_structures(event: Events, tmp_path: Path) -> None:
    first = completed("a", {"left": {"value": 1, "volume_mm3": 5.0, "margin": 0.9, "components": 1}})
    second = completed("b", {"right": {"volume_mm3": 7.0, "border_margin": 0.4}}, identifiers={"sub": "2"})
    second.remarks.append("it is cut")
    failed = CaseRecord("c", "in/c.nii.gz", status="failed", error="BadInputError", message="c is bad")
    header, *rows = rows_of(tmp_path, [first, second, failed, CaseRecord("d")], event)
    assert header[:6] == ["case", "input", "sub", "error", "remarks", "flags"]
    assert header[6:8] == ["left_volume_mm3", "right_volume_mm3"]
    table = [{name: value for name, value in zip(header, row, strict=True) if value} for row in rows]
    assert table == [
        {"case": "a", "input": "in/a.nii.gz", "left_volume_mm3": "5.0", "left_margin": "0.9", "left_components": "1"},
        {
            **{"case": "b", "input": "in/b.nii.gz", "sub": "2", "remarks": "it is cut"},
            **{"right_volume_mm3": "7.0", "right_border_margin": "0.4"},
        },
        {"case": "c", "input": "in/c.nii.gz", "error": "BadInputError"},
    ]


@pytest.mark.parametrize("enabled", [False, "false"])
def test_it_can_be_turned_off(enabled: bool | str, tmp_path: Path) -> None:
    assert rows_of(tmp_path, [completed("a", {})], enabled=enabled) == []


def test_a_run_without_cases_has_no_table(tmp_path: Path) -> None:
    assert rows_of(tmp_path, [CaseRecord("a")]) == []
