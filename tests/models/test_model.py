"""The shipped weights on real cases that they have not seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import create_workflow

from bundle import ROOT

SPLIT = Path(ROOT, "configs", "datasets", "hippocampus_split.json")

pytestmark = [pytest.mark.slow, pytest.mark.real_data, pytest.mark.xdist_group("model")]


@pytest.fixture(scope="module")
def statistics(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    output = tmp_path_factory.mktemp("evaluation")
    torch.set_num_threads(2)
    workflow = create_workflow(
        config_file=str(Path(ROOT, "configs", "evaluate.json")),
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(shared_data / "volumes" / "hippocampus"),
        datalist=str(SPLIT),
        split="test",
        output_dir=str(output),
    )
    workflow.run()
    torch.set_num_threads(1)
    return json.loads((output / "metrics.json").read_text())["summary"]


@pytest.mark.xfail(reason="the target of the project; the shipped weights reach 0.883 and 0.870", strict=True)
@pytest.mark.parametrize(("structure", "bar"), [("anterior", 0.90), ("posterior", 0.885)])
def test_dice_on_unseen_cases_is_above_the_bar(statistics: dict, structure: str, bar: float) -> None:
    assert statistics[structure]["dice"]["n"] == 28
    assert statistics[structure]["dice"]["mean"] >= bar


def test_the_metadata_has_the_measured_metrics(statistics: dict) -> None:
    measured = json.loads(Path(ROOT, "configs", "metadata.json").read_text())["eval_metrics"]["structures"]
    for structure, metrics in measured.items():
        for name, values in metrics.items():
            assert statistics[structure][name]["mean"] == pytest.approx(values["mean"], abs=2e-3), f"{structure} {name}"
