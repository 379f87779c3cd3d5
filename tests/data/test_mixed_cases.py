"""Cases of two datasets, drawn in fixed shares."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from helpers.workflows import small_dataset
from monai.data import Dataset

from bundle.data import DatalistError, mixed_sampler, select_cases, select_mixed_cases


def test_all_further_cases_join_the_training_cases(tmp_path: Path) -> None:
    own, further = small_dataset(tmp_path / "own"), small_dataset(tmp_path / "further", count=3)
    cases = select_mixed_cases(own, fold=1, extra_dir=further)
    training = [case["image"] for case in select_cases(own, "training", fold=1)]
    assert [case["image"] for case in cases if not case["extra"]] == training
    assert len([case for case in cases if case["extra"]]) == 3


def test_both_folders_are_told_apart_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exams, phantoms = small_dataset(tmp_path / "exams", 2), small_dataset(tmp_path / "phantoms", 3)
    options = ["--dataset_dir", str(exams), "--phantom_dir", str(phantoms)]
    monkeypatch.setattr(sys, "argv", ["/site-packages/monai/bundle/__main__.py", "run", *options])
    assert len(select_mixed_cases(exams, fold="all", extra_dir=phantoms)) == 5
    monkeypatch.setattr(sys, "argv", ["pytest"])
    with pytest.raises(DatalistError, match=r"phantom_dir '.*none' is not a folder; pass --phantom_dir DIR"):
        select_mixed_cases(exams, fold="all", extra_dir=tmp_path / "none")


def test_without_a_further_folder_the_dataset_is_alone(tmp_path: Path) -> None:
    cases = select_mixed_cases(small_dataset(tmp_path), fold=0)
    assert len(cases) == 4
    assert not any(case["extra"] for case in cases)


def test_further_cases_are_drawn_with_their_share() -> None:
    dataset = Dataset([{"extra": index >= 2} for index in range(12)])
    torch.manual_seed(0)
    drawn = Counter(index >= 2 for index in mixed_sampler(dataset, extra_share=0.25, samples=4000))
    assert drawn[True] / 4000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("extra", [False, True])
def test_a_dataset_of_one_kind_is_drawn_evenly(extra: bool) -> None:
    torch.manual_seed(0)
    drawn = Counter(mixed_sampler(Dataset([{"extra": extra}] * 3), extra_share=0.0, samples=3000))
    assert all(count == pytest.approx(1000, abs=120) for count in drawn.values())


@pytest.mark.parametrize("options", [{"extra_share": 1.5}, {"extra_share": -0.1}, {"samples": 0}])
def test_numbers_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(DatalistError, match="must lie in"):
        mixed_sampler(Dataset([{"extra": True}]), **options)
