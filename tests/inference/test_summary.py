"""A run ends with a summary of what was done and left out, and with status 2 only if something was left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ignite.engine import Engine, Events

from bundle.inference import RunSummary

FAILED = {
    "case": "b",
    "file": "/data/b.nii.gz",
    "error": "DimensionError",
    "message": "b.nii.gz: has 4 axes; split it.",
}
OTHER = {**FAILED, "case": "d", "message": "d.nii.gz: is empty; copy it again."}


def run(folder: Path, outputs: list[Any], failures: list[dict] | None = None, **options: Any) -> tuple[RunSummary, Any]:
    """Run an engine that gives ``outputs``, and return the summary and the content of its file."""
    summary = RunSummary(folder, **options)
    engine = Engine(lambda _, output: output)
    engine.failures = failures or []
    engine.add_event_handler("EPOCH_COMPLETED", lambda engine: engine.state.metrics.update(dice=0.5, hd95=float("nan")))
    summary.attach(engine)
    engine.run(outputs)
    path = folder / "summary.json"
    return summary, json.loads(path.read_text(), parse_constant=pytest.fail) if path.is_file() else None


def test_the_file_holds_results_failures_metrics_and_seconds(tmp_path: Path) -> None:
    results = [{"case": "a", "seconds": 1.5}, {"case": "c", "seconds": None}]
    outputs = [[{"result": results[0], "pred": object()}], [], [{"result": results[1]}]]
    summary, content = run(tmp_path / "new" / "folder", outputs, [FAILED])
    assert content == {
        "cases": results,
        "failures": [FAILED],
        "metrics": {"dice": 0.5, "hd95": None},
        "seconds": content["seconds"],
    }
    assert content["seconds"] >= 0
    assert summary.results == results


def test_failures_of_all_sources_and_of_the_engine_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = SimpleNamespace(failures=[OTHER])
    summary, content = run(tmp_path, [[]], [FAILED], sources=[dataset, object()])
    assert content["failures"] == summary.failures == [OTHER, FAILED]
    for failure in (FAILED, OTHER):
        assert f"left out: {failure['message']}" in caplog.text


@pytest.mark.parametrize("output", [[{"pred": 1}], {"loss": 1.0}, None], ids=str)
def test_outputs_without_a_result_are_passed_over(output: Any, tmp_path: Path) -> None:
    assert run(tmp_path, [output])[1]["cases"] == []


def test_the_last_line_counts_cases_and_names_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bundle")
    run(tmp_path, [[{"result": {"case": "a"}}]], [FAILED])
    assert caplog.records[-1].getMessage() == f"1 cases done, 1 left out; summary in {tmp_path / 'summary.json'}"
    run(tmp_path, [[]])
    assert caplog.records[-1].getMessage() == f"0 left out; summary in {tmp_path / 'summary.json'}"


def test_the_process_ends_with_status_2_if_cases_were_left_out(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, [[]], [FAILED])[0].exit()
    assert caught.value.code == 2


def test_the_process_ends_as_usual_if_no_case_was_left_out(tmp_path: Path) -> None:
    run(tmp_path, [[]])[0].exit()


def test_disabled_it_writes_nothing_and_still_knows_the_failures(tmp_path: Path) -> None:
    summary, content = run(tmp_path, [[]], [FAILED], enabled=False)
    assert content is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        summary.exit()


def test_a_second_run_starts_anew(tmp_path: Path) -> None:
    engine = Engine(lambda engine, item: [{"result": {"case": item}}])
    summary = RunSummary(tmp_path)
    summary.attach(engine)
    for _ in range(2):
        engine.run(["a", "b"], max_epochs=1)
    assert [case["case"] for case in json.loads((tmp_path / "summary.json").read_text())["cases"]] == ["a", "b"]
    summary.attach(engine)
    assert summary.sources == [engine]


def test_a_folder_that_cannot_be_made_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done: list[str] = []
    engine = Engine(lambda engine, item: done.append(item))
    RunSummary(tmp_path / "file" / "out").attach(engine)
    with pytest.raises(ValueError, match=r"output_dir .*out cannot be made .*pass another --output_dir"):
        engine.run(["a"], max_epochs=1)
    assert not done


class Writer:
    """A writer whose results come when it is waited for."""

    def __init__(self) -> None:
        self.results: list[dict] = [{"case": "of an earlier run"}]
        self.failures: list[dict] = []

    def restart(self) -> None:
        self.results.clear()

    def finish(self) -> None:
        self.results.append({"case": "b", "done_earlier": True})
        self.failures.append(OTHER)


def test_a_writer_is_waited_for_and_its_results_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bundle")
    summary, content = run(tmp_path, [[{"result": {"case": "a"}}]], sources=[Writer()])
    assert [case["case"] for case in content["cases"]] == ["a", "b"]
    assert content["failures"] == [OTHER]
    assert "2 cases done, 1 of them earlier, 1 left out" in caplog.text
    assert summary.results == content["cases"]


def test_a_run_that_is_cut_off_leaves_a_summary_of_what_is_done(tmp_path: Path) -> None:
    engine = Engine(lambda engine, item: [{"result": {"case": item}}])
    RunSummary(tmp_path, sources=[Writer()]).attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate(skip_completed=True))
    engine.run(["a", "c", "d"], max_epochs=1)
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["stopped"] is True
    assert [case["case"] for case in content["cases"]] == ["a", "c", "b"]


def test_a_run_that_is_cut_off_while_the_writer_finishes_leaves_a_summary(tmp_path: Path) -> None:
    class Interrupted(Writer):
        def finish(self) -> None:
            if not self.failures:
                self.failures.append(FAILED)
                raise SystemExit(130)
            super().finish()

    engine = Engine(lambda engine, item: [{"result": {"case": item}}])
    RunSummary(tmp_path, sources=[Interrupted()]).attach(engine)
    with pytest.raises(SystemExit):
        engine.run(["a"], max_epochs=1)
    engine.fire_event(Events.TERMINATE)
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["stopped"] is True
    assert [case["case"] for case in content["cases"]] == ["a", "b"]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_run_that_is_summed_up_is_not_summed_up_again(enabled: bool, tmp_path: Path) -> None:
    writer = Writer()
    engine = Engine(lambda engine, item: None)
    RunSummary(tmp_path, sources=[writer], enabled=enabled).attach(engine)
    engine.run(["a"], max_epochs=1)
    engine.fire_event(Events.TERMINATE)
    assert len(writer.failures) == 1


def test_a_run_that_never_began_leaves_no_summary(tmp_path: Path) -> None:
    engine = Engine(lambda engine, item: None)
    RunSummary(tmp_path / "out").attach(engine)
    engine.fire_event("TERMINATE")
    assert not (tmp_path / "out").exists()
