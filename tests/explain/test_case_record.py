"""Records of explained cases."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from helpers.phantoms import meta_tensor, noise

from bundle.explain import case_record as cases
from bundle.explain.case_record import case_record, require_matplotlib


def test_a_case_is_named_after_its_file_and_keeps_its_remarks(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"x")
    image = meta_tensor(noise((1, 2, 3, 4)), filename_or_obj="in/scan.nii.gz", remarks="one; two")
    record = case_record({"image": image, "started": time.perf_counter() - 2}, "image", weights)
    assert (record["case"], record["input"], record["remarks"]) == ("scan", "in/scan.nii.gz", ["one", "two"])
    assert 2 <= record["seconds"] < 60
    assert record["checkpoint"]["path"] == str(weights)
    assert "monai" in record["versions"]


def test_a_case_may_have_a_name_and_no_times_or_weights(tmp_path: Path) -> None:
    image = meta_tensor(noise((1, 2, 3, 4)), filename_or_obj="in/scan.nii.gz")
    record = case_record({"image": image, "case": "patient"}, "image", None)
    assert (record["case"], record["remarks"], record["seconds"], record["checkpoint"]) == ("patient", [], None, None)
    assert json.loads(json.dumps(record)) == record


def test_a_missing_matplotlib_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_matplotlib("cam")
    monkeypatch.setattr(cases, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"cam draws with matplotlib; pip install 'keyslice\[demo\]'"):
        require_matplotlib("cam")
