"""Processes that share a folder take different cases, wait for those of others, and take over those of ended ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.claimed import kill
from helpers.phantoms import noise, write_nifti
from monai.transforms import Compose

from bundle.inference import CaseDataset, CompletedCases, PrefetchLoader, collate_cases, shared_cases
from bundle.inference.shared_cases import SharedCases
from bundle.io import LoadVolumed
from bundle.utils.write_json import write_json


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cases, "POLL", 0.02)


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, str]]:
    image = str(write_nifti(tmp_path / "in" / "a.nii.gz", noise((8, 8, 8))))
    return [{"case": name, "image": image} for name in "abcd"]


def run_in(folder: Path, **options: Any) -> CompletedCases:
    return CompletedCases(folder / "out", enabled=True, **options)


def complete(run: CompletedCases, case: dict[str, str], **more: Any) -> None:
    """Write the result of a case that a run has claimed."""
    claim = run.claim_of(case["case"])
    assert claim is not None
    content = {"case": case["case"], "provenance": run.provenance(case["image"]), "files": {}, **more}
    claim.commit(run.output_dir / f"{case['case']}.json", content)
    claim.release()


def order(cases: list[dict[str, str]], run: CompletedCases, **options: Any) -> Iterator[str]:
    for index in SharedCases(cases, run, **options):
        yield cases[index]["case"]


def test_two_runs_take_different_cases_and_each_sees_all(cases: list, tmp_path: Path) -> None:
    first, second = run_in(tmp_path), run_in(tmp_path)
    ours, theirs = order(cases, first), order(cases, second)
    assert [next(ours), next(theirs), next(ours), next(theirs)] == ["a", "b", "c", "d"]
    for run, names in ((first, "ac"), (second, "bd")):
        for name in names:
            complete(run, {**cases[0], "case": name})
    assert sorted(ours) == ["b", "d"]
    assert sorted(theirs) == ["a", "c"]
    assert len(SharedCases(cases, first)) == 4
    first.claims.close()
    second.claims.close()


def test_a_failure_of_this_run_is_not_tried_again_but_one_of_an_earlier_run_is(cases: list, tmp_path: Path) -> None:
    first, second = run_in(tmp_path), run_in(tmp_path)
    assert next(order(cases[:1], first)) == "a"
    complete(first, cases[0], error="ValueError", message="bad")
    assert next(order(cases[:1], second)) == "a"
    dataset = CaseDataset(cases[:1], Compose([LoadVolumed("image")]), completed=second)
    (record,) = dataset[0].values()
    assert (record.status, record.error, record.message) == ("failed", "ValueError", "bad")
    record.settle()
    first.claims.close()
    second.claims.close()
    later = run_in(tmp_path)
    assert later.find(cases[0]) is None
    later.claims.open()
    later.claims.started += 100
    assert next(order(cases[:1], later)) == "a"
    assert later.claim_of("a") is not None
    assert not (tmp_path / "out" / "a.json").exists()
    later.claims.close()


def test_cases_of_a_killed_process_are_taken_over(cases: list, tmp_path: Path) -> None:
    first, second = run_in(tmp_path), run_in(tmp_path)
    assert next(order(cases, first)) == "a"
    kill(first.claims)
    names = order(cases, second)
    assert [next(names) for _ in range(4)] == list("abcd")
    claim = second.claim_of("a")
    assert claim is not None
    assert claim.number == 2
    second.claims.close()


def test_a_suspect_is_computed_alone(cases: list, tmp_path: Path) -> None:
    first, second = run_in(tmp_path), run_in(tmp_path)
    taken = order(cases[1:2], first)
    next(taken)
    kill(first.claims)
    seen: list[str] = []
    iterated = SharedCases(cases, second, one_by_one=True)
    thread = threading.Thread(target=lambda: [seen.append("abcd"[index]) for index in iterated], daemon=True)
    thread.start()
    for name, expected in (("a", "a"), ("b", "ab"), ("c", "abcd")):
        _wait_until(lambda expected=expected: len(seen) >= len(expected))
        threading.Event().wait(0.2)
        assert seen == list(expected)
        complete(second, {**cases[0], "case": name})
    thread.join(10)
    assert not thread.is_alive()
    second.claims.close()


def _wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError


def test_waiting_can_be_stopped(cases: list, tmp_path: Path) -> None:
    first, second = run_in(tmp_path), run_in(tmp_path)
    assert next(order(cases, first)) == "a"
    iterated = SharedCases(cases[:1], second)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(iterated))
    thread.start()
    threading.Event().wait(0.1)
    iterated.stop()
    thread.join(10)
    assert found == []
    first.claims.close()
    second.claims.close()


def test_a_result_that_came_meanwhile_is_used(cases: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = run_in(tmp_path), run_in(tmp_path)
    take = run.claims.take

    def take_late(case: str) -> Any:
        write_json(
            run.output_dir / "a.json", {"case": "a", "provenance": run.provenance(cases[0]["image"]), "files": {}}
        )
        return take(case)

    monkeypatch.setattr(run.claims, "take", take_late)
    assert run.begin(cases[0]) == "completed"
    assert run.claim_of("a") is None
    assert other.claims.take("a") is not None
    run.claims.close()
    other.claims.close()


def test_a_stale_result_is_removed_when_its_case_is_claimed(
    cases: list, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_in(tmp_path)
    write_json(tmp_path / "out" / "a.json", {"case": "a"})
    assert next(order(cases, run)) == "a"
    assert caplog.text.count("a.json: recomputed, since it has no provenance") == 1
    assert not (tmp_path / "out" / "a.json").exists()
    run.claims.close()


def test_few_results_are_kept_in_memory(cases: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(tmp_path)
    many = [{**cases[0], "case": f"case{number}"} for number in range(12)]
    for case in many:
        write_json(
            run.output_dir / f"{case['case']}.json",
            {"case": case["case"], "provenance": run.provenance(case["image"]), "files": {}},
        )
    assert len(list(order(many, run))) == 12
    assert len(run._known) == 8
    run.claims.close()


@pytest.mark.parametrize("ahead", [0, 1])
def test_the_loader_shares_the_cases_of_a_dataset_that_resumes(ahead: int, cases: list, tmp_path: Path) -> None:
    run = run_in(tmp_path)
    dataset = CaseDataset(cases, Compose([LoadVolumed("image")]), completed=run)
    names = []
    for batch in PrefetchLoader(dataset, ahead=ahead, batch_size=1, shuffle=False, collate_fn=collate_cases):
        record = batch["record"]
        names.append(record.case)
        assert record.claim.is_held()
        record.complete({}, files=[])
        record.write(run.output_dir)
        record.settle()
        assert not record.claim.is_held()
    assert names == list("abcd")
    assert json.loads((run.output_dir / "a.json").read_text())["provenance"] == run.provenance(cases[0]["image"])
    run.claims.close()
