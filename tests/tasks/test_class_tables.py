"""The tables of a run that classified images: predictions, and submissions that the challenge accepts."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
from ignite.engine import Engine, Events

from bundle.inference import CaseRecord, RunSummary
from bundle.tasks.classification import ClassTables
from bundle.tasks.images.isic_submission import TABLES, check_confidences

NAMES = list(TABLES["isic2017_part3"][1:])


def result(case: str, *probabilities: float, names: list[str] = NAMES) -> CaseRecord:
    classes = {
        name: {"probability": value, "threshold": 0.5, "positive": value > 0.5}
        for name, value in zip(names, probabilities, strict=True)
    }
    results = {"case": case, "input": f"/data/{case}.jpg", "classes": classes}
    return CaseRecord(case, status="completed", results=results)


def tables_of(folder: Path, names: list[str] = NAMES, challenge: str | None = None) -> ClassTables:
    return ClassTables(folder, names, summary=RunSummary(folder), challenge=challenge)


def run(tables: ClassTables, records: list[CaseRecord], stop_after: int | None = None) -> None:
    engine = Engine(lambda engine, record: engine.records.append(record))
    engine.records = []
    if tables.summary is not None:
        tables.summary.attach(engine)
    tables.attach(engine)
    if stop_after is not None:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=stop_after), lambda engine: engine.terminate())
    engine.run(records, max_epochs=1)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_predictions_have_one_row_per_image(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "out")
    run(tables, [result("a", 0.75, 0.25), CaseRecord("bad", status="failed"), result("b", 0.125, 0.5)])
    assert rows(tmp_path / "out" / "predictions.csv") == [
        {"case": "a", "input": "/data/a.jpg", NAMES[0]: "0.750000", NAMES[1]: "0.250000"}
        | {f"{NAMES[0]}_positive": "1", f"{NAMES[1]}_positive": "0"},
        {"case": "b", "input": "/data/b.jpg", NAMES[0]: "0.125000", NAMES[1]: "0.500000"}
        | {f"{NAMES[0]}_positive": "0", f"{NAMES[1]}_positive": "0"},
    ]
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_without_a_summary_the_records_of_the_evaluator_are_written(tmp_path: Path) -> None:
    run(ClassTables(tmp_path / "out", NAMES), [result("a", 0.75, 0.25), CaseRecord("bad", status="failed")])
    assert [row["case"] for row in rows(tmp_path / "out" / "predictions.csv")] == ["a"]


def test_a_run_without_predictions_writes_nothing(tmp_path: Path) -> None:
    run(tables_of(tmp_path / "out", challenge="isic2017_part3"), [CaseRecord("bad", status="failed")])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]


def test_an_interrupted_run_has_the_tables_of_the_completed_images(tmp_path: Path) -> None:
    run(tables_of(tmp_path), [result(name, 0.3, 0.4) for name in "abcd"], stop_after=2)
    assert [row["case"] for row in rows(tmp_path / "predictions.csv")] == ["a", "b"]


@pytest.mark.parametrize("challenge", TABLES)
def test_a_submission_is_what_the_scorer_takes(
    challenge: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = list(TABLES[challenge][1:])
    ids = ["ISIC_0000002", "ISIC_0000001"]
    with caplog.at_level(logging.INFO):
        records = [result(name, *[0.125] * len(names), names=names) for name in ids]
        run(tables_of(tmp_path, names[::-1], challenge), records)
    assert check_confidences(tmp_path / "submission.csv", ids, challenge=challenge) == []
    assert [row[TABLES[challenge][0]] for row in rows(tmp_path / "submission.csv")] == sorted(ids)
    assert "submission.csv, 0 problems" in caplog.text


def test_what_the_challenge_would_refuse_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bundle.tasks.classification import class_tables

    monkeypatch.setattr(class_tables, "check_confidences", lambda *args, **options: ["line 2: is odd."])
    run(tables_of(tmp_path, challenge="isic2017_part3"), [result("ISIC_0000001", 0.5, 0.5)])
    assert "submission.csv: line 2: is odd." in caplog.text


def test_an_unknown_challenge_and_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="challenge must be one of isic2017_part3, isic2018_task3, got 'isic'"):
        tables_of(tmp_path, challenge="isic")
    with pytest.raises(ValueError, match="isic2018_task3 has the classes MEL, NV"):
        tables_of(tmp_path, challenge="isic2018_task3")
