"""JobProgress shows how far a job is: one bar, and JSON lines for reading, windows, postprocessing and writing."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

from bundle.inference import AutocastInferer, BackgroundWriter, CaseEvaluator, CaseRecord, JobProgress


class Windows(Inferer):
    """An inferer of four windows; it fails on images of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.on_window: Any = None

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        for number in range(1, 5):
            if self.on_window is not None:
                self.on_window(number, 4)
        if inputs.max() == 1:
            raise RuntimeError("out of memory, say")
        return inputs


def batch(name: str, value: float = 0.0) -> dict[str, Any]:
    return {"case": [name], "image": MetaTensor(torch.full((1, 1, 2, 2, 2), value))}


FAILED = {"record": CaseRecord("bad", "bad.nii", "failed", error="E", message="m")}
COMPLETED = {"record": CaseRecord("old", status="completed earlier")}


def run(batches: list[Any], *, inferer: Any = None, behind: Any = None, **options: Any) -> JobProgress:
    inferer = inferer or Windows()
    progress = JobProgress(**{"inferer": inferer, "interval": 0, **options})
    engine = CaseEvaluator(
        device="cpu",
        val_data_loader=batches,
        network=torch.nn.Identity(),
        inferer=inferer,
        postprocessing=behind,
        val_handlers=[progress],
    )
    engine.run()
    return progress


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_lines_of_a_case_follow_its_stages(tmp_path: Path) -> None:
    writer = BackgroundWriter()

    def save(data: dict[str, Any]) -> dict[str, Any]:
        writer.submit(data["record"], lambda: None)
        writer.finish()
        return data

    path = tmp_path / "new" / "lines.jsonl"
    run([batch("a"), batch("b")], writer=writer, behind=save, json_lines=path)
    told = lines(path)
    assert [(line["case"], line["stage"], line["done"], line["total"]) for line in told] == [
        *(
            (name, stage, done, total)
            for name in "ab"
            for stage, done, total in (
                ("read", 1, 1),
                *(("network", number, 4) for number in range(1, 5)),
                ("restore", 0, 1),
                ("write", 1, 1),
                ("restore", 1, 1),
            )
        ),
        (None, "end", 2, 2),
    ]
    assert {tuple(line) for line in told} == {("case", "stage", "done", "total", "seconds_left", "cases_done", "cases")}
    assert [line["cases_done"] for line in told] == [0] * 8 + [1] * 8 + [2]
    assert told[-1]["seconds_left"] == 0
    assert writer.on_written is None


def test_the_share_that_is_done_only_grows_and_ends_at_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    done = JobProgress._done
    monkeypatch.setattr(JobProgress, "_done", lambda self: (shares.append(done(self)), shares[-1])[1])
    run([batch("a"), batch("b"), batch("c")])
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert shares[1] == pytest.approx((0.05 + 0.85 / 4) / 3)


def test_time_left_is_the_time_so_far_scaled_by_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("bundle.inference.job_progress.time", SimpleNamespace(monotonic=lambda: clock.now))

    class Slow(Windows):
        def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
            for number in range(1, 11):
                clock.now += 1
                self.on_window(number, 10)
            return inputs

    path = tmp_path / "lines.jsonl"
    run([batch(name) for name in "abcd"], inferer=Slow(), json_lines=path)
    told = [line for line in lines(path) if line["stage"] == "network" and line["cases_done"]]
    for line in told:
        spent = 10 * line["cases_done"] + line["done"]
        share = (line["cases_done"] + 0.98 * line["done"] / 10) / 4
        assert line["seconds_left"] == pytest.approx(spent * (1 - share) / share, abs=0.06)
    first = next(line for line in lines(path) if line["stage"] == "read")
    assert first["seconds_left"] is None


def test_cases_that_fail_count_and_those_of_an_earlier_run_do_not(tmp_path: Path) -> None:
    path, writer = tmp_path / "lines.jsonl", BackgroundWriter()
    run([dict(COMPLETED), dict(FAILED), batch("a", 1.0), batch("b")], writer=None, json_lines=path)
    told = lines(path)
    assert [line["cases"] for line in told[:2]] == [3, 3]
    assert [line["case"] for line in told if line["stage"] == "read"] == ["old", "bad", "a", "b"]
    assert told[-1]["cases_done"] == told[-1]["done"] == 3
    run([dict(FAILED), batch("a", 1.0)], writer=writer, json_lines=path)
    assert (lines(path)[-1]["done"], lines(path)[-1]["total"]) == (2, 2)


def test_a_job_of_completed_cases_alone_is_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    run([dict(COMPLETED)], json_lines=path)
    assert lines(path)[-1] == {
        **{"case": None, "stage": "end", "done": 0, "total": 0, "seconds_left": 0, "cases_done": 0, "cases": 0}
    }


def test_windows_of_a_wrapped_inferer_are_seen_and_the_hook_is_taken_off(tmp_path: Path) -> None:
    inner = Windows()
    path = tmp_path / "lines.jsonl"
    run([batch("a")], inferer=AutocastInferer(inner), json_lines=path)
    assert [line["done"] for line in lines(path) if line["stage"] == "network"] == [1, 2, 3, 4]
    assert inner.on_window is None


def test_without_a_hook_it_goes_by_cases(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    run([batch("a")], inferer=AutocastInferer(lambda inputs, network: inputs), json_lines=path)
    assert [line["stage"] for line in lines(path)] == ["read", "restore", "restore", "end"]


def test_lines_of_windows_are_rare(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    run([batch("a")], json_lines=path, interval=100)
    assert [line["done"] for line in lines(path) if line["stage"] == "network"] == [4]


def test_lines_can_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    run([batch("a")], json_lines="-")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert told[0]["stage"] == "read"
    assert not sys.stderr.closed


def test_a_terminal_shows_one_bar_with_case_stage_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    run([batch("a"), batch("b")])
    text = terminal.getvalue()
    assert "case 1/2 a" in text
    assert "network" in text
    assert "100%" in text
    assert "left" in text


def test_a_run_that_never_began_and_one_that_is_not_to_be_shown() -> None:
    progress = run([batch("a")], enabled=False)
    progress._end()
    assert not hasattr(progress, "cases")


class Broken(io.StringIO):
    """A stream that takes ``lines`` lines, and fails at its closing too."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.lines = lines

    def write(self, text: str) -> int:
        if not self.lines:
            raise BrokenPipeError(32, "Broken pipe")
        self.lines -= 1
        return super().write(text)

    def close(self) -> None:
        super().close()
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("count", "words"), [(0, "Broken pipe"), (3, "Broken pipe"), (100, "No space left")])
@pytest.mark.parametrize("target", ["lines.jsonl", "-"])
def test_lines_that_cannot_be_written_are_dropped_and_the_job_continues(
    target: str,
    count: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    done, stream = [], Broken(count)
    to_file = target != "-"
    if to_file:
        monkeypatch.setattr("builtins.open", lambda *args, **options: stream)
    else:
        monkeypatch.setattr("sys.stderr", stream)
    json_lines = tmp_path / target if to_file else target
    progress = run([batch("a"), batch("b")], json_lines=json_lines, behind=lambda data: (done.append(data), data)[1])
    monkeypatch.undo()
    assert len(done) == progress.cases_done == 2
    assert stream.closed is to_file
    warned = [record.getMessage() for record in caplog.records if record.name == "bundle.inference.job_progress"]
    assert len(warned) == (to_file or count < 100)
    assert all(words in message for message in warned)


def test_the_end_is_reported_when_all_is_written(tmp_path: Path) -> None:
    path, writer = tmp_path / "lines.jsonl", BackgroundWriter()

    def save(data: dict[str, Any]) -> dict[str, Any]:
        writer.submit(data["record"], lambda: time.sleep(0.2))
        return data

    run([batch("a")], writer=writer, behind=save, json_lines=path)
    assert [line["stage"] for line in lines(path)[-2:]] == ["write", "end"]
    assert lines(path)[-1]["done"] == 1


def test_a_folder_in_place_of_the_file_is_reported_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"progress_json .* cannot be written .*; pass a file"):
        run([batch("a")], json_lines=tmp_path)
