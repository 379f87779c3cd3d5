"""Sets of candidates as a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader

from bundle.data import DatalistError
from bundle.networks import CandidateNet
from bundle.phantoms.spine.candidate_dataset import CandidateDataset, drawn_spines, listed_spines, prior_spines
from bundle.tasks.spine.discs import Disc, SkeletonPrior, write_disc_json

SPINE = np.array([[value, 3.0, 0.0, -28.0 * value] for value in range(20, 26)])
SMALL = {"first_level": 20, "level_count": 6, "size": 12}


@pytest.fixture
def dataset() -> CandidateDataset:
    return CandidateDataset([[SPINE, SPINE]], 8, **SMALL)


def test_items_hold_classes_masks_scores_and_points_that_agree(dataset: CandidateDataset) -> None:
    for index in range(len(dataset)):
        item = dataset[index]
        there = item["mask"]
        assert item["case"] == f"candidates{index:05d}"
        assert (item["label"][~there] == -1).all()
        assert (item["label"][there] >= 0).all()
        assert (item["features"][there].amax(1) > 0).all()
        known = item["points"][item["points"][:, 2].isfinite()]
        for value, r, a, s in known.tolist():
            row = int((item["label"] == value - 20).nonzero())
            assert (r, a, s) == (0.0, *(pytest.approx(x, rel=1e-6) for x in item["image"][row].tolist()))
        assert len(known) == int(((item["label"] >= 0) & (item["label"] < 6)).sum())


def test_an_item_depends_on_seed_and_index_alone(dataset: CandidateDataset) -> None:
    before = [dataset[index]["image"] for index in (5, 2)]
    torch.testing.assert_close(before, [dataset[index]["image"] for index in (5, 2)])
    other = CandidateDataset([[SPINE]], 8, **SMALL).set_random_state(seed=1)[5]["image"]
    assert not torch.equal(other, before[0])
    torch.testing.assert_close(dataset.set_random_state(seed=9).set_random_state()[5]["image"], before[0])
    with pytest.raises(IndexError, match="8 sets of candidates, not one of number 8"):
        dataset[8]


def test_batches_go_through_the_network(dataset: CandidateDataset) -> None:
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    network = CandidateNet(2, 7, features=6, width=8, depth=1, heads=2)
    assert network(batch["image"], batch["mask"], batch["features"]).shape == (4, 12, 7)


def test_coordinates_alone_have_no_features() -> None:
    item = CandidateDataset([[SPINE]], 1, **SMALL, scores=False)[0]
    assert item["features"].shape == (12, 0)
    network = CandidateNet(2, 7, width=8, depth=1, heads=2)
    assert network(item["image"][None], item["mask"][None], item["features"][None]).shape == (1, 12, 7)


def test_of_too_many_candidates_false_ones_are_dropped() -> None:
    options = {"strays": (40, 40), "least": 6, "missing": (0, 0)}
    item = CandidateDataset([[SPINE]], 1, **{**SMALL, "size": 8}, options=options)[0]
    assert item["mask"].all()
    assert sorted(item["label"].tolist()) == [0, 1, 2, 3, 4, 5, 6, 6]


def test_short_lists_are_drawn_from_as_often_as_long_ones() -> None:
    top, bottom = SPINE[:1], SPINE[-1:]
    options = {"neighbors": (0, 0), "doubles": (0, 0), "strays": (0, 0)}
    dataset = CandidateDataset([[top], [bottom] * 50, []], 300, **SMALL, options=options)
    share = np.mean([dataset[index]["label"][0] == 0 for index in range(300)])
    assert share == pytest.approx(0.5, abs=0.1)


def test_spines_without_a_level_of_interest_are_not_drawn() -> None:
    neck = np.array([[3.0, 0.0, 0.0, 0.0]])
    assert len(CandidateDataset([[neck, SPINE], [neck]], 1, **SMALL).sources) == 1
    with pytest.raises(ValueError, match="no spine with a disc of the levels 20 to 25"):
        CandidateDataset([[neck]], 1, **SMALL)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"level_count": 0}, {"size": 5}])
def test_bad_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="samples and level_count must be 1 or more"):
        CandidateDataset([[SPINE]], **{**SMALL, **wrong})


def test_spines_of_a_datalist_are_the_points_of_its_cases(tmp_path: Path) -> None:
    for name, values in (("a", (24, 25)), ("b", (3,)), ("c", ())):
        discs = [Disc(value, (1.0, 2.0, -30.0 * value)) for value in values]
        write_disc_json(discs, tmp_path / f"{name}.json")
    cases = [
        {"image": f"{name}.nii.gz", "label": f"{name}.json", "fold": f} for name, f in (("a", 1), ("b", 0), ("c", 1))
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": cases}), encoding="utf-8")
    (spine,) = listed_spines(tmp_path)
    np.testing.assert_allclose(spine, [[24, 1, 2, -720], [25, 1, 2, -750]])
    assert [list(spine[:, 0]) for spine in listed_spines(tmp_path, "validation")] == [[3]]
    with pytest.raises(DatalistError, match="has no fold 7"):
        listed_spines(tmp_path, fold=7)


def test_drawn_spines_are_complete_and_begin_alike() -> None:
    few, many = drawn_spines(2, seed=3), drawn_spines(4, seed=3)
    for one, same in zip(few, many, strict=False):
        np.testing.assert_array_equal(one, same)
    assert all(set(range(2, 25)) - {20, 24} <= set(spine[:, 0]) for spine in many)
    assert not np.allclose(many[0][:10], many[1][:10])
    assert not np.allclose(drawn_spines(1, seed=4)[0][:10], few[0][:10])
    assert drawn_spines(0) == []


def test_spines_of_a_prior_have_its_spread_and_run_downward() -> None:
    means = np.column_stack([np.zeros(5), -30.0 * np.arange(5)])
    prior = SkeletonPrior((3, 4, 5, 6, 7), means, np.full((5, 2), [5.0, 1.0]), (9,) * 5)
    spines = np.stack(prior_spines(prior, 300))
    np.testing.assert_array_equal(spines[:, :, 0], np.tile([3, 4, 5, 6, 7], (300, 1)))
    assert spines[:, :, 2].std() == pytest.approx(5.0, rel=0.1)
    assert (spines[:, :, 3] + 30.0 * np.arange(5)).std() == pytest.approx(1.0, rel=0.1)
    wild = SkeletonPrior((3, 4, 5, 6, 7), means, np.full((5, 2), 40.0), (9,) * 5)
    assert all((np.diff(spine[:, 3]) < 0).all() for spine in prior_spines(wild, 50))
