"""CaseEvaluator continues after a case that fails in loading, in the network, after it, or in writing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import ball, write_case, write_nifti
from monai.data import DataLoader, MetaTensor
from monai.transforms import Activationsd, AsDiscreted, Compose

from bundle.inference import (
    CaseDataset,
    CaseEvaluator,
    CaseFindings,
    RunSummary,
    SaveSegmentationd,
    SlabInferer,
    collate_cases,
)
from bundle.io import LoadVolumed
from bundle.training import Progress

NAMES = {"lower": 1, "upper": 2}


class Threshold(torch.nn.Module):
    """Scores of the classes by intensity; it fails on an image that is brighter than 50."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.max() > 50:
            raise RuntimeError("out of memory, say")
        return torch.cat([0 * x, 4 * x - 2, 8 * x - 8], dim=1)


def fail_for(name: str) -> Any:
    """Return a transform that fails for the case ``name``."""

    def check(data: dict[str, Any]) -> dict[str, Any]:
        if data.get("case") == name:
            raise KeyError("pred")
        return data

    return check


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, Any]]:
    """Five cases: b cannot be loaded, c fails in the network."""
    cases = [write_case(tmp_path, name) for name in "abcde"]
    for case in cases:
        write_nifti(case["image"], ball().astype(np.float32))
    Path(cases[1]["image"]).write_text("no volume")
    write_nifti(cases[2]["image"], ball() * np.float32(100))
    return cases


def evaluator(cases: list, out: Path, *, workers: int = 0, behind: Any = (), summary: Any = None) -> CaseEvaluator:
    dataset = CaseDataset(cases, Compose([LoadVolumed(["image", "label"])]))
    save = SaveSegmentationd("pred", label_names=NAMES, output_dir=out)
    return CaseEvaluator(
        device="cpu",
        val_data_loader=DataLoader(dataset, num_workers=workers, batch_size=1, collate_fn=collate_cases),
        network=Threshold(),
        inferer=SlabInferer((8, 8, 8)),
        postprocessing=Compose([*behind, save]),
        val_handlers=[summary or RunSummary(out), Progress(unit="case")],
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_the_other_cases_go_on(workers: int, cases: list, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = RunSummary(out)
    engine = evaluator(cases, out, workers=workers, behind=[fail_for("d")], summary=summary)
    engine.run()

    assert [failure.case for failure in engine.failures] == ["b", "c", "d"]
    assert [failure.error for failure in engine.failures] == ["UnreadableFileError", "RuntimeError", "KeyError"]
    assert [failure.file for failure in engine.failures] == [case["image"] for case in cases[1:4]]
    assert engine.failures[1].message == f"{cases[2]['image']}: RuntimeError: out of memory, say"

    assert sorted(path.name for path in out.glob("*_seg.nii.gz")) == ["a_seg.nii.gz", "e_seg.nii.gz"]
    for name in "ae":
        np.testing.assert_array_equal(np.asarray(nib.load(out / f"{name}_seg.nii.gz").dataobj), ball())
    content = json.loads((out / "summary.json").read_text())
    assert [case["case"] for case in content["cases"]] == ["a", "e"]
    assert all(case["seconds"] > 0 for case in content["cases"])
    assert content["failures"] == [failure.to_json() for failure in engine.failures]
    with pytest.raises(SystemExit):
        summary.exit()


def test_a_result_that_cannot_be_written_is_a_failure_as_well(cases: list, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "a.json").mkdir(parents=True)
    engine = evaluator([cases[0], cases[3]], out)
    engine.run()
    assert [failure.case for failure in engine.failures] == ["a"]
    assert (out / "d_seg.nii.gz").is_file()


def test_good_cases_leave_no_failure(cases: list, tmp_path: Path) -> None:
    engine = evaluator([cases[0], cases[3]], tmp_path / "out")
    engine.run()
    assert engine.failures == []
    assert engine.state.iteration == 2


def test_metrics_and_handlers_see_an_empty_output_for_a_failed_case(cases: list, tmp_path: Path) -> None:
    seen = []
    engine = evaluator(cases[:3], tmp_path / "out")
    engine.add_event_handler("ITERATION_COMPLETED", lambda e: seen.append((len(e.state.batch), len(e.state.output))))
    engine.run()
    assert seen == [(1, 1), (0, 0), (0, 0)]


def test_a_batch_without_name_and_file_can_fail_too() -> None:
    batch = {"image": MetaTensor(torch.full((1, 1, 4, 4, 4), 100.0))}
    engine = CaseEvaluator(device="cpu", val_data_loader=[batch], network=Threshold())
    engine.run()
    assert [(failure.case, failure.file) for failure in engine.failures] == [("?", "")]


def test_an_interruption_by_the_user_ends_the_run(cases: list, tmp_path: Path) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    engine = evaluator([cases[0]], tmp_path / "out", behind=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        engine.run()


def test_it_is_otherwise_monai_s_evaluator(cases: list) -> None:
    dataset = CaseDataset([cases[0]], LoadVolumed(["image", "label"]))
    engine = CaseEvaluator(
        device="cpu",
        val_data_loader=DataLoader(dataset, collate_fn=collate_cases),
        network=Threshold(),
        postprocessing=Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)]),
    )
    modes = []
    engine.network.register_forward_hook(lambda network, *_: modes.append(network.training))
    engine.run()
    (output,) = engine.state.output
    np.testing.assert_array_equal(output["pred"][0].numpy(), ball())
    assert modes == [False]


def test_a_case_that_an_earlier_run_completed_is_not_run_again(cases: list, tmp_path: Path) -> None:
    class Completed:
        output_dir = tmp_path / "out"

        def find(self, case: dict[str, Any]) -> dict[str, Any] | None:
            return {"case": "a"} if case["case"] == "a" else None

        def provenance(self, image: str) -> dict[str, str]:
            return {"settings": "s", "input": "i"}

        def claim_of(self, case: str) -> None:
            return None

    engine = evaluator([cases[0], cases[3]], tmp_path / "out")
    engine.data_loader.dataset.completed = Completed()
    engine.run()
    assert [record.status for record in engine.records] == ["completed earlier", "completed"]
    content = json.loads((tmp_path / "out" / "d.json").read_text())
    assert content["provenance"] == {"settings": "s", "input": "i"}
    assert not (tmp_path / "out" / "a.json").exists()


def test_the_plan_of_the_inferer_is_in_the_record(cases: list, tmp_path: Path) -> None:
    engine = evaluator([cases[0]], tmp_path / "out")
    engine.inferer.description = "bf16 (kept)"
    engine.run()
    assert [record.plan for record in engine.records] == ["bf16 (kept)"]
    assert json.loads((tmp_path / "out" / "a.json").read_text())["plan"] == "bf16 (kept)"


def test_the_findings_of_the_inferer_are_in_the_record_of_their_case(cases: list, tmp_path: Path) -> None:
    """The third case fails before the inferer knows anything of it."""
    engine = evaluator([cases[0], cases[2]], tmp_path / "out")
    infer = engine.inferer

    def knowing(inputs: Any, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        result = infer(inputs, network, *args, **kwargs)
        knowing.findings = CaseFindings({"": NAMES}, {"plausibility": {"distance": 2.5}}, ["a remark"])
        return result

    knowing.findings = None
    engine.inferer = knowing
    engine.run()
    content = json.loads((tmp_path / "out" / "a.json").read_text())
    assert content["plausibility"] == {"distance": 2.5}
    assert content["remarks"] == ["a remark"]
    assert engine.records[1].findings is None


def test_a_second_run_starts_anew(cases: list, tmp_path: Path) -> None:
    engine = evaluator(cases[:2], tmp_path / "out")
    for _ in range(2):
        engine.run()
    assert [record.status for record in engine.records] == ["completed", "failed"]


def test_an_interrupted_run_keeps_the_completed_cases(cases: list, tmp_path: Path) -> None:
    def interrupt(data: dict[str, Any]) -> dict[str, Any]:
        if data["case"] == "d":
            raise SystemExit(143)
        return data

    engine = evaluator([cases[0], cases[3], cases[4]], tmp_path / "out", behind=[interrupt])
    with pytest.raises(SystemExit):
        engine.run()
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert content["stopped"] is True
    assert [case["case"] for case in content["cases"]] == ["a"]
    assert not (tmp_path / "out" / "d.json").exists()
