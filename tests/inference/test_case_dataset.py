"""A case that cannot be loaded becomes a record; the others are used."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from helpers.phantoms import noise, write_case, write_nifti
from monai.data import DataLoader, MetaTensor
from monai.transforms import Compose, RandGaussianNoised

from bundle.inference import CaseCacheDataset, CaseDataset, CompletedCases, collate_cases
from bundle.inference.case_dataset import _size_of
from bundle.io import LoadVolumed


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, Any]]:
    """Three good cases, and between them one with NaN and one that is missing."""
    good = [write_case(tmp_path, name, seed=seed) for seed, name in enumerate("ace")]
    broken = noise((12, 12, 12))
    broken[0, 0, 0] = np.nan
    nan = {"case": "b", "image": str(write_nifti(tmp_path / "b.nii.gz", broken)), "label": good[0]["label"]}
    missing = {"case": "d", "image": str(tmp_path / "d.nii.gz"), "label": good[0]["label"]}
    return [good[0], nan, good[1], missing, good[2]]


LOAD = LoadVolumed(["image", "label"])


def test_a_bad_case_is_a_record_and_a_good_one_is_transformed(cases: list) -> None:
    dataset = CaseDataset(cases, LOAD)
    items = [dataset[index] for index in range(len(dataset))]
    assert [item["case"] for item in items if "image" in item] == ["a", "c", "e"]
    assert items[0]["image"].shape == (1, 12, 12, 12)
    assert items[0]["record"].started > 0
    assert [item["record"].status for item in items] == ["loaded", "failed", "loaded", "failed", "loaded"]
    records = [item["record"] for item in items if "image" not in item]
    assert [record.error for record in records] == ["NonFiniteVoxelsError", "UnreadableFileError"]
    assert records[1].case == "d"
    assert records[1].message.startswith(f"{cases[3]['image']}: does not exist")
    assert "record" not in cases[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_records_cross_worker_processes(cases: list, workers: int) -> None:
    loader = DataLoader(CaseDataset(cases, Compose([LOAD])), num_workers=workers, collate_fn=collate_cases)
    batches = list(loader)
    assert [batch["record"].case for batch in batches] == ["a", "b", "c", "d", "e"]
    assert [list(batch) for batch in batches if batch["record"].status == "failed"] == [["record"]] * 2
    assert batches[0]["case"] == ["a"]
    assert batches[0]["image"].shape == (1, 1, 12, 12, 12)
    assert isinstance(batches[0]["image"], MetaTensor)


def test_good_cases_are_collated_as_monai_does(cases: list) -> None:
    items = [LOAD(cases[0]), LOAD(cases[2])]
    batch = collate_cases(items)
    assert batch["case"] == ["a", "c"]
    assert torch.equal(batch["image"][1].as_tensor(), items[1]["image"].as_tensor())
    assert torch.equal(collate_cases([torch.ones(2), torch.zeros(2)]), torch.tensor([[1.0, 1], [0, 0]]))


def test_a_batch_has_one_record_of_a_case(cases: list) -> None:
    dataset = CaseDataset(cases, LOAD)
    with pytest.raises(ValueError, match="batch_size must be 1 for the cases of CaseDataset, got 2"):
        collate_cases([dataset[0], dataset[1]])


@pytest.mark.parametrize("workers", [None, 2])
def test_the_cache_skips_bad_cases_and_keeps_their_records(
    cases: list, workers: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    dataset = CaseCacheDataset(cases, LOAD, num_workers=workers, progress=False)
    assert [item["case"] for item in dataset] == ["a", "c", "e"]
    assert sorted(record.case for record in dataset.records) == ["b", "d"]
    assert caplog.text.count("is skipped") == 2


def test_random_transforms_see_the_right_case_after_one_that_was_skipped(cases: list) -> None:
    transform = Compose([LOAD, RandGaussianNoised("image", prob=1.0, std=1e-3)]).set_random_state(0)
    dataset = CaseCacheDataset(cases, transform, num_workers=None, progress=False)
    for item, case in zip(dataset, [cases[0], cases[2], cases[4]], strict=True):
        difference = (item["image"] - LOAD(case)["image"]).abs().max()
        assert 0 < difference < 0.02


def test_a_cache_without_bad_cases_has_no_failures(cases: list) -> None:
    dataset = CaseCacheDataset(cases[::2], LOAD, num_workers=None, progress=False)
    assert len(dataset) == 3
    assert dataset.records == []


@pytest.mark.parametrize(("cached", "names"), [(0, "abcde"), (2, "acde"), (4, "ace")])
def test_cases_beyond_the_cache_stay_in_the_dataset(cases: list, cached: int, names: str) -> None:
    dataset = CaseCacheDataset(cases, LOAD, cache_num=cached, num_workers=None, progress=False)
    assert [case["case"] for case in dataset.data] == list(names)
    assert dataset[len(dataset) - 1]["case"] == "e"


def test_new_data_replace_cases_and_failures(cases: list) -> None:
    dataset = CaseCacheDataset(cases, LOAD, num_workers=None, progress=False)
    dataset.set_data(cases[2:4])
    assert [item["case"] for item in dataset] == ["c"]
    assert [record.case for record in dataset.records] == ["d"]


def test_no_usable_case_is_an_error_that_gives_the_first_reason(cases: list) -> None:
    with pytest.raises(ValueError, match=r"none of the 2 cases can be used; the first: .*b.nii.gz: 1 of 1728 voxels"):
        CaseCacheDataset([cases[1], cases[3]], LOAD, num_workers=None, progress=False)


def test_an_empty_list_of_cases_is_an_empty_dataset() -> None:
    assert len(CaseCacheDataset([], LOAD, num_workers=None, progress=False)) == 0


@pytest.mark.parametrize(("sizes", "cached"), [(0, 0), (1.5, 1), (2, 2), (9, 3)])
def test_the_cache_stays_within_its_budget(
    cases: list, sizes: float, cached: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not fit is loaded anew, after every case was checked once; the items do not depend on it."""
    caplog.set_level(logging.INFO)
    transform = Compose([LOAD, RandGaussianNoised("image", prob=1.0)])
    size = sum(LOAD(cases[0])[key].nbytes for key in ("image", "label"))
    dataset = CaseCacheDataset(cases, transform, cache_gb=sizes * size / 1024**3, num_workers=2, progress=False)
    assert sorted(record.case for record in dataset.records) == ["b", "d"]
    assert f"{cached} of 3 cases are cached" in caplog.text
    assert ("cases do not fit in the cache" in caplog.text) == (0 < cached < 3)
    everything = CaseCacheDataset(cases, transform, num_workers=None, progress=False)
    for number in (0, 1, 2, -1):
        items = []
        for one in (dataset, everything):
            transform.set_random_state(number + 1)
            items.append(one[number])
        assert items[0]["case"] == items[1]["case"]
        assert torch.equal(items[0]["image"].as_tensor(), items[1]["image"].as_tensor())


def test_the_budget_is_half_of_the_available_memory(cases: list, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(LOAD(cases[0])[key].nbytes for key in ("image", "label"))
    monkeypatch.setattr("bundle.inference.case_dataset.available_memory", lambda: 5 * size)
    dataset = CaseCacheDataset(cases, LOAD, num_workers=None, progress=False)
    assert sum(isinstance(item, dict) for item in dataset._cache) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    dataset.set_data(cases)
    assert sum(isinstance(item, dict) for item in dataset._cache) == 1


def test_a_dataset_goes_to_other_processes(cases: list) -> None:
    dataset = CaseCacheDataset(cases, LOAD, cache_gb=0, num_workers=None, progress=False)
    loader = DataLoader(dataset, batch_size=3, num_workers=1, multiprocessing_context="spawn")
    assert [batch["case"] for batch in loader] == [["a", "c", "e"]]


@pytest.mark.parametrize("size", [-1, float("nan")])
def test_a_negative_budget_is_refused(cases: list, size: float) -> None:
    with pytest.raises(ValueError, match="cache_gb must be 0 or more, or null"):
        CaseCacheDataset(cases, LOAD, cache_gb=size)


def test_all_arrays_of_a_case_count() -> None:
    item = {"image": torch.zeros(10), "points": [np.zeros(3), (torch.zeros(2, dtype=torch.uint8),)], "case": "a"}
    assert _size_of(item) == 40 + 24 + 2


def test_a_case_whose_input_cannot_be_looked_at_is_given_back(
    cases: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(image: Any) -> None:
        raise PermissionError(image)

    completed = CompletedCases(tmp_path / "out", enabled=True)
    completed.begin(cases[0])
    monkeypatch.setattr(completed, "provenance", refuse)
    record = CaseDataset(cases, LOAD, completed=completed)[0]["record"]
    assert record.error == "PermissionError"
    record.settle()
    assert completed.claims.take("a") is not None
    completed.claims.close()


def test_an_image_at_an_address_is_copied_until_its_case_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The JSON has the address; a state of the file is part of the provenance."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    image = write_nifti(tmp_path / "in" / "a.nii.gz", noise((8, 8, 8)))
    system = fsspec.filesystem("memory")
    system.pipe("/scans/a.nii.gz", image.read_bytes())
    system.pipe("/scans/b.nii.gz", image.read_bytes())
    completed = CompletedCases(tmp_path / "out")
    addresses = [
        "memory://scans/a.nii.gz",
        ["memory://scans/a.nii.gz", "memory://scans/b.nii.gz"],
        "memory://scans/no.nii",
    ]
    cases = [{"case": name, "image": address} for name, address in zip("abc", addresses, strict=True)]
    dataset = CaseDataset(cases, Compose([LoadVolumed("image")]), completed=completed)
    item = dataset[0]
    np.testing.assert_array_equal(item["image"][0].numpy(), noise((8, 8, 8)))
    record = item["record"]
    (copy,) = tmp_path.glob("keyslice-*")
    record.complete({})
    assert record.to_json()["input"] == "memory://scans/a.nii.gz"
    before = record.to_json()["provenance"]["input"]
    record.settle()
    assert not copy.exists()
    assert dataset[1]["image"].shape == (2, 8, 8, 8)
    failed = dataset[2]["record"]
    assert (failed.status, failed.error) == ("failed", "RemoteFileError")
    assert failed.to_json()["file"] == "memory://scans/no.nii"
    system.pipe("/scans/a.nii.gz", b"other")
    assert completed.provenance("memory://scans/a.nii.gz")["input"] != before
