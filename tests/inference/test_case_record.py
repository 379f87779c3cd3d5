"""The record of a case holds its results, or the error that made it fail."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.phantoms import meta_tensor, noise

from bundle.inference.case_findings import CaseFindings
from bundle.inference.case_record import CaseRecord, new_record, record_of_batch, record_of_data
from bundle.inference.claims import Claims
from bundle.inference.plausibility import NOT_JUDGED, Plausibility
from bundle.io.input_checks import DimensionError


def record_failure(case: dict[str, Any], error: Exception) -> dict[str, Any]:
    """Return the entry of a failed case in ``summary.json``."""
    record = new_record(case)
    record.fail(error)
    return record.to_json()


def chained(*errors: Exception) -> Exception:
    """Return the first error, caused by the second, and so on."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


CASE = {"case": "a", "image": "/data/a.nii.gz", "label": "/data/b.nii.gz"}


def test_an_error_of_the_contract_speaks_for_itself() -> None:
    error = DimensionError("/data/b.nii.gz", "has 4 axes", "split it")
    assert record_failure(CASE, error) == {
        "case": "a",
        "file": "/data/a.nii.gz",
        "error": "DimensionError",
        "message": "/data/b.nii.gz: has 4 axes; split it.",
    }


def test_an_error_of_the_contract_is_found_under_the_errors_of_monai() -> None:
    inner = chained(DimensionError("f", "p", "r"), EOFError("cut"))
    assert record_failure(CASE, chained(RuntimeError("applying transform"), inner))["error"] == "DimensionError"


def test_another_error_is_named_by_its_root_and_with_the_file() -> None:
    record = record_failure(CASE, chained(RuntimeError("applying transform"), TypeError("x"), KeyError("label")))
    assert record["error"] == "KeyError"
    assert record["message"] == "/data/a.nii.gz: KeyError: 'label'"


def test_a_case_without_a_name_is_named_after_its_file() -> None:
    assert record_failure({"image": "/data/a.nii.gz"}, ValueError("x"))["case"] == "a.nii.gz"
    assert record_failure({}, ValueError("x")) == {
        "case": "",
        "file": "",
        "error": "ValueError",
        "message": ": ValueError: x",
    }


def test_an_image_of_several_files_is_named_by_all_of_them() -> None:
    assert record_failure({"case": "a", "image": ["/data/a.nii", "/data/b.nii"]}, KeyError("x"))["file"] == (
        "/data/a.nii, /data/b.nii"
    )


def test_the_failure_is_logged_and_the_record_is_json(caplog: pytest.LogCaptureFixture) -> None:
    record = record_failure(CASE, ValueError("too much"))
    assert json.loads(json.dumps(record)) == record
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert line.getMessage() == "case a is skipped: ValueError: /data/a.nii.gz: ValueError: too much"


def test_a_case_that_is_not_named_has_the_name_of_its_file_and_keeps_the_remarks(tmp_path: Path) -> None:
    image = meta_tensor(noise((1, 2, 3, 4)), filename_or_obj="in/scan.nii.gz", remarks="one; two")
    record = record_of_data({"image": image}, "image")
    assert (record.case, record.file, record.remarks) == ("scan", "in/scan.nii.gz", ["one", "two"])
    assert record_of_data({"image": image, "record": record}, "image") is record
    assert record.remarks == ["one", "two"]


def test_a_completed_record_has_results_and_what_they_were_made_with(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"x")
    provenance = {"settings": "1", "input": "2"}
    record = CaseRecord("a", "a.nii", started=time.perf_counter() - 2, plan="bf16", provenance=provenance)
    record.complete({"voxels": 7}, files=[weights], checkpoint=weights)
    content = record.to_json()
    assert json.loads(json.dumps(content)) == content
    assert record.is_completed
    assert 2 <= content["seconds"] < 60
    digest = hashlib.sha256(b"x").hexdigest()
    assert content["checkpoint"] == {"path": str(weights), "sha256": digest}
    assert content["files"] == {"model.pt": digest}
    assert (content["voxels"], content["plan"], content["provenance"]) == (7, "bf16", provenance)
    assert "monai" in content["versions"]


def test_findings_of_the_inferer_are_results_and_remarks() -> None:
    findings = CaseFindings({"left": {"a": 11}}, {"regions": [{"name": "left"}]}, ["right was not found"])
    record = CaseRecord("a", remarks=["a constant border was cropped"], findings=findings)
    record.complete({"voxels": 7})
    content = record.to_json()
    assert json.loads(json.dumps(content)) == content
    assert (content["voxels"], content["regions"]) == (7, [{"name": "left"}])
    assert content["remarks"] == ["a constant border was cropped", "right was not found"]
    assert findings.remarks == ["right was not found"]


def test_flags_of_the_inferer_come_before_those_of_the_numbers() -> None:
    class Judge(Plausibility):
        def judge_numbers(self, result: Mapping[str, Any]) -> dict[str, Any]:
            return {"z_scores": {}, "flags": ["margin is low"]}

    flagged = CaseFindings(flags=["unlike the training images"])
    judged = CaseRecord("a", findings=flagged, plausibility=Judge(None))
    judged.complete({})
    assert judged.to_json()["flags"] == ["unlike the training images", "margin is low"]
    alone = CaseRecord("a", findings=flagged)
    alone.complete({})
    assert alone.to_json()["flags"] == ["unlike the training images"]


def test_a_result_of_weights_without_plausible_results_says_that_it_was_not_judged() -> None:
    record = CaseRecord("a", plausibility=Plausibility(None))
    record.complete({})
    assert record.to_json()["remarks"] == [NOT_JUDGED]


def test_what_is_not_known_is_null_or_missing() -> None:
    record = CaseRecord("a")
    assert not record.is_completed
    record.complete({})
    content = record.to_json()
    assert (content["seconds"], content["checkpoint"], content["remarks"]) == (None, None, [])
    assert not {"plan", "files", "provenance"} & content.keys()


def test_the_sha256_is_that_of_the_weights_as_they_are_now(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    for content in (b"first", b"second"):
        weights.write_bytes(content)
        os.utime(weights, ns=(0, len(content)))
        record = CaseRecord("a")
        record.complete({}, checkpoint=weights)
        assert record.results["checkpoint"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_failed_case_keeps_what_is_known_of_its_result() -> None:
    record = CaseRecord("a", findings=CaseFindings({}, {"plausibility": {"distance": 30.0}}))
    record.fail(ValueError("not plausible"))
    assert record.to_json()["plausibility"] == {"distance": 30.0}


def test_a_case_of_an_earlier_run_has_the_json_of_that_run() -> None:
    record = CaseRecord("a", status="completed earlier", results={"case": "a"})
    assert record.is_completed
    assert record.to_json() == {"case": "a"}


def test_a_failed_case_of_a_run_that_resumes_has_a_json_with_its_provenance(tmp_path: Path) -> None:
    record = CaseRecord("a", "in/a.nii.gz", folder=tmp_path, provenance={"settings": "s", "input": "i"})
    record.settle()
    assert list(tmp_path.iterdir()) == []
    record.fail(ValueError("bad"))
    record.settle()
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == record.to_json()
    assert (content["error"], content["provenance"]) == ("ValueError", {"settings": "s", "input": "i"})


def test_a_failure_after_the_json_was_written_replaces_it(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    record = CaseRecord("a", folder=tmp_path, claim=claims.take("a"))
    record.complete({"labels": {}})
    record.write(tmp_path)
    record.fail(ValueError("no figure"))
    record.settle()
    assert json.loads((tmp_path / "a.json").read_text())["error"] == "ValueError"
    assert claims.take("a") is not None
    claims.close()


def test_what_another_process_has_completed_is_not_written_again(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    record = CaseRecord("a", folder=tmp_path, claim=claims.take("a"))
    (tmp_path / "a.json").write_text("theirs")
    record.fail(ValueError("bad"))
    record.settle()
    assert record.status == "taken over"
    assert (tmp_path / "a.json").read_text() == "theirs"
    claims.close()


def test_a_failure_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.json").mkdir()
    record = CaseRecord("a", folder=tmp_path)
    record.fail(ValueError("bad"))
    record.settle()
    assert f"a: the failure cannot be written to {tmp_path}" in caplog.text


def test_a_record_crosses_processes() -> None:
    record = new_record(CASE)
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - of this process
    assert record.started is not None


def test_a_batch_has_its_record_or_gets_one() -> None:
    record = CaseRecord("a")
    assert record_of_batch({"record": record, "case": ["b"]}) is record
    image = meta_tensor(noise((1, 1, 2, 3, 4)), filename_or_obj=["b.nii"])
    assert record_of_batch({"case": ["b"], "image": image}) == CaseRecord("b", "b.nii")
    assert record_of_batch({"image": noise((1, 2))}) == CaseRecord("?", "")
