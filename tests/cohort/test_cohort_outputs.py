"""On a cluster the options of a config have the outputs that its handlers write in one process."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from helpers.dask_clusters import use_threads
from helpers.image_cases import write_lesions
from helpers.jobs import write_cases
from helpers.workflows import SMALL
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.cluster.connection import ClusterOptions
from bundle.cohort.cohort_outputs import ClusterOutputs, OutputError, wanted_tables
from bundle.cohort.cohort_run import run_cohort
from bundle.cohort.summarize import TABLES
from bundle.results.result_folder import Counts

CONFIGS = Path(ROOT, "configs")
OPTIONS = {**SMALL, "plan": "fp32", "overlay": False, "plausible_distance": None, "find_regions": False}


@pytest.fixture(params=[None, ClusterOptions(workers=1)], ids=["here", "on a cluster"])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ClusterOptions | None:
    use_threads(monkeypatch)
    return request.param


def test_volumes_are_a_derivative_of_bids_and_have_no_table(
    cluster: ClusterOptions | None, tmp_path: Path, weights: str
) -> None:
    write_cases(tmp_path / "in", 1)
    (tmp_path / "in" / "case00.nii.gz").rename(tmp_path / "in" / "sub-01_T1w.nii.gz")
    options = {**OPTIONS, "checkpoint": weights, "input": str(tmp_path / "in"), "progress_json": None}
    options |= {"bids_dir": str(tmp_path / "bids"), "volumes_csv": False}
    found = run_cohort([str(CONFIGS / "inference.json")], tmp_path / "out", options=options, cluster=cluster)
    assert found == Counts(1, 0)
    assert (tmp_path / "bids" / "sub-01" / "anat" / "sub-01_space-T1w_dseg.nii.gz").is_file()
    assert not (tmp_path / "out" / "volumes.csv").exists()


def test_classes_are_a_submission(cluster: ClusterOptions | None, tmp_path: Path) -> None:
    write_lesions(tmp_path, 1)
    config = str(CONFIGS / "lesion_classification" / "inference.json")
    options: dict[str, Any] = {"input": str(tmp_path / "images"), "challenge": "isic2017_part3"}
    assert run_cohort([config], tmp_path / "out", options=options, cluster=cluster) == Counts(1, 0)
    with open(tmp_path / "out" / "submission.csv", newline="", encoding="utf-8") as stream:
        assert [row["image_id"] for row in csv.DictReader(stream)] == ["lesion0"]


def test_a_config_without_these_options_has_none_of_the_outputs(tmp_path: Path) -> None:
    parser = ConfigParser({})
    assert wanted_tables(parser) == TABLES
    ClusterOutputs(parser).write(tmp_path, Counts(1, 0))
    ClusterOutputs(ConfigParser({"bids_dir": str(tmp_path / "bids")})).write(tmp_path, Counts(0, 1))
    assert list(tmp_path.iterdir()) == []


def test_lines_of_the_progress_are_refused() -> None:
    with pytest.raises(OutputError, match="--progress_json follows the cases of one process; leave it out"):
        ClusterOutputs(ConfigParser({"progress_json": "progress.jsonl"}))
