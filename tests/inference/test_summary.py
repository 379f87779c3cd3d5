"""A run ends with a summary of completed and skipped cases, and with status 2 only if a case was skipped."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ignite.engine import Engine, Events
from monai.engines import Workflow

from bundle.data import CaseReview
from bundle.inference import CaseFindings, CaseRecord, RunSummary
from bundle.utils.write_json import write_json

FAILED = CaseRecord("b", "/data/b.nii.gz", "failed", error="DimensionError", message="b.nii.gz: has 4 axes; split it.")
OTHER = CaseRecord("d", "/data/d.nii.gz", "failed", error="E", message="d.nii.gz: is empty; copy it again.")


def completed(name: str) -> CaseRecord:
    return CaseRecord(name, status="completed", results={"case": name})


def run(folder: Path, records: list[CaseRecord], **options: Any) -> tuple[RunSummary, Any]:
    """Run an engine that keeps ``records``, and return the summary and the content of its file."""
    summary = RunSummary(folder, **options)
    engine = Engine(lambda _, record: engine.records.append(record))
    engine.records = []
    engine.add_event_handler("EPOCH_COMPLETED", lambda engine: engine.state.metrics.update(dice=0.5, hd95=float("nan")))
    summary.attach(engine)
    engine.run(records or [CaseRecord("loaded")])
    path = folder / "summary.json"
    return summary, json.loads(path.read_text(), parse_constant=pytest.fail) if path.is_file() else None


def test_the_file_holds_results_failures_metrics_and_seconds(tmp_path: Path) -> None:
    summary, content = run(tmp_path / "new" / "folder", [completed("a"), FAILED, completed("c"), CaseRecord("loaded")])
    assert content == {
        "cases": [{"case": "a"}, {"case": "c"}],
        "failures": [FAILED.to_json()],
        "metrics": {"dice": 0.5, "hd95": None},
        "seconds": content["seconds"],
    }
    assert content["seconds"] >= 0
    assert summary.failures == [FAILED]


def test_cases_that_a_review_has_left_out_are_named(tmp_path: Path) -> None:
    (tmp_path / "qc.csv").write_text("case,rating\na,fail\n")
    review = CaseReview(tmp_path / "qc.csv")
    review.select([{"case": name, "image": name} for name in "ab"])
    named = run(tmp_path, [completed("b")], review=review)[1]["review"]
    assert named == {"qc": str(tmp_path / "qc.csv"), "keep": "not_failed", "left_out": ["a"]}
    assert "review" not in run(tmp_path, [completed("b")], review=CaseReview())[1]


def test_a_refused_case_has_a_file_with_what_is_known_of_its_result(tmp_path: Path) -> None:
    findings = CaseFindings({}, {"plausibility": {"distance": 30.0}})
    refused = CaseRecord("b", "b.nii.gz", "failed", error="E", message="not plausible", findings=findings)
    run(tmp_path, [refused, FAILED])
    assert json.loads((tmp_path / "b.json").read_text()) == refused.to_json()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "summary.json"]


def test_label_maps_are_copied_to_a_derivative_of_bids_on_request(tmp_path: Path) -> None:
    folder, target = tmp_path / "out", tmp_path / "derivatives" / "labels"
    name = "sub-01_T2w_label-discs_dlabel.nii.gz"
    write_json(folder / "sub-01_T2w.json", {"case": "sub-01_T2w", "input": "sub-01_T2w.nii.gz", "files": {name: ""}})
    (folder / name).touch()
    run(folder, [FAILED], bids_dir=target)
    assert not target.exists()
    run(folder, [completed("sub-01_T2w")], bids_dir=target)
    assert (target / "sub-01" / "anat" / name).is_file()


def test_failures_of_all_sources_and_of_the_engine_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = SimpleNamespace(records=[OTHER])
    summary, content = run(tmp_path, [FAILED], sources=[dataset, object()])
    assert summary.failures == [OTHER, FAILED]
    assert content["failures"] == [OTHER.to_json(), FAILED.to_json()]
    for failure in (FAILED, OTHER):
        assert f"skipped: {failure.message}" in caplog.text


def test_the_last_line_counts_cases_and_names_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bundle.inference.summary")
    run(tmp_path, [completed("a"), FAILED])
    run(tmp_path, [])
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    own = [line for line in lines if line.endswith(f"summary in {tmp_path / 'summary.json'}")]
    assert [line.partition(";")[0] for line in own] == ["1 cases completed, 1 skipped", "0 skipped"]


def test_the_process_ends_with_status_2_if_cases_were_skipped(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, [FAILED])[0].exit()
    assert caught.value.code == 2


def test_the_process_ends_as_usual_if_no_case_was_skipped(tmp_path: Path) -> None:
    run(tmp_path, [])[0].exit()


def test_disabled_it_writes_nothing_and_still_knows_the_failures(tmp_path: Path) -> None:
    summary, content = run(tmp_path, [FAILED], enabled=False)
    assert content is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        summary.exit()


def test_an_engine_that_is_followed_twice_is_one_source(tmp_path: Path) -> None:
    engine, summary = Engine(lambda engine, item: None), RunSummary(tmp_path)
    for _ in range(2):
        summary.attach(engine)
    assert summary.sources == [engine]


def test_a_folder_that_cannot_be_created_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done: list[str] = []
    engine = Engine(lambda engine, item: done.append(item))
    RunSummary(tmp_path / "file" / "out").attach(engine)
    with pytest.raises(ValueError, match=r"output_dir .*out cannot be created .*pass another --output_dir"):
        engine.run(["a"], max_epochs=1)
    assert not done


def test_a_derivative_that_cannot_be_written_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done: list[str] = []
    engine = Engine(lambda engine, item: done.append(item))
    RunSummary(tmp_path / "out", bids_dir=tmp_path / "file").attach(engine)
    with pytest.raises(ValueError, match=r"bids_dir .*file cannot be created or written to"):
        engine.run(["a"], max_epochs=1)
    assert not done


class Writer:
    """A writer that completes a case when it is waited for."""

    def __init__(self, record: CaseRecord) -> None:
        self.record, self.finished = record, 0

    def finish(self) -> None:
        self.finished += 1
        self.record.status, self.record.results = "completed earlier", {"case": self.record.case}


def test_a_writer_is_waited_for_and_its_results_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bundle")
    record = CaseRecord("b")
    _, content = run(tmp_path, [completed("a"), record, OTHER], sources=[Writer(record)])
    assert [case["case"] for case in content["cases"]] == ["a", "b"]
    assert content["failures"] == [OTHER.to_json()]
    assert "2 cases completed, 1 of them earlier, 1 skipped" in caplog.text


def interrupted(folder: Path, writer: Any) -> Engine:
    """Return an engine that keeps records and has a summary."""
    engine = Engine(lambda engine, name: engine.records.append(completed(name)))
    engine.records = []
    RunSummary(folder, sources=[writer]).attach(engine)
    return engine


def test_an_interrupted_run_leaves_a_summary_of_the_completed_cases(tmp_path: Path) -> None:
    engine = interrupted(tmp_path, Writer(CaseRecord("b")))
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate(skip_completed=True))
    engine.run(["a", "c", "d"], max_epochs=1)
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["stopped"] is True
    assert [case["case"] for case in content["cases"]] == ["a", "c"]


def test_a_run_that_is_interrupted_while_the_writer_finishes_leaves_a_summary(tmp_path: Path) -> None:
    class Interrupted(Writer):
        def finish(self) -> None:
            super().finish()
            if self.finished == 1:
                raise SystemExit(130)

    engine = interrupted(tmp_path, Interrupted(CaseRecord("b")))
    with pytest.raises(SystemExit):
        engine.run(["a"], max_epochs=1)
    engine.fire_event(Events.TERMINATE)
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["stopped"] is True
    assert [case["case"] for case in content["cases"]] == ["a"]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_run_that_is_summed_up_is_not_summed_up_again(enabled: bool, tmp_path: Path) -> None:
    writer = Writer(CaseRecord("b"))
    engine = Engine(lambda engine, item: None)
    RunSummary(tmp_path, sources=[writer], enabled=enabled).attach(engine)
    engine.run(["a"], max_epochs=1)
    engine.fire_event(Events.TERMINATE)
    assert writer.finished == 1


def test_a_run_that_never_began_leaves_no_summary(tmp_path: Path) -> None:
    engine = Engine(lambda engine, item: None)
    RunSummary(tmp_path / "out").attach(engine)
    engine.fire_event("TERMINATE")
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_batch_is_an_error(tmp_path: Path) -> None:
    """MONAI skips such a run with a warning, and the process would end with status 0."""
    engine = Workflow("cpu", 1, [])
    summary = RunSummary(tmp_path)
    summary.attach(engine)
    with pytest.warns(UserWarning, match="skip the `run`"):
        engine.run()
    with pytest.raises(ValueError, match="nothing was run: the data loader has no batch"):
        summary.exit()
    assert list(tmp_path.iterdir()) == []
