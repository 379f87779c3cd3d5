"""Certainty of the numbering of discs."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.tasks.spine.discs.level_certainty import LevelCertainty, number_discs
from bundle.tasks.spine.discs.peak_candidates import Candidates
from bundle.tasks.spine.discs.skeleton import SkeletonPrior
from bundle.tasks.spine.discs.skeleton_search import search_skeleton

LEVELS = tuple(range(2, 26))
MEANS = np.column_stack([np.zeros(24), -np.cumsum(np.linspace(15, 35, 24))])
PRIOR = SkeletonPrior(LEVELS, MEANS, np.full((24, 2), 5.0), (1,) * 24, gap_spread=np.ones(23))


def channels(places: dict[int, float], confidence: float = 0.9) -> list[Candidates]:
    """Return one candidate per level, at heights S."""
    return [
        Candidates(np.array([[0.0, places[value]]]), np.array([confidence]))
        if value in places
        else Candidates(np.zeros((0, 2)), np.zeros(0))
        for value in LEVELS
    ]


def spine(first: int, last: int) -> dict[int, float]:
    return {value: MEANS[value - 2, 1] for value in range(first, last + 1)}


def number(places: dict[int, float], other: float = 0.0, **options) -> tuple[dict[int, float], LevelCertainty]:
    """Number a spine whose neighboring channels have a response of ``other``."""
    found = channels(places)
    match, certainty = number_discs(
        found, LEVELS, PRIOR, lambda channel, positions: np.full(len(positions), other), **options
    )
    chosen = {
        LEVELS[channel]: float(found[channel].positions[index, 1])
        for channel, index in enumerate(match.choice)
        if index is not None
    }
    assert certainty is not None
    return chosen, certainty


def test_a_clear_spine_with_its_sacrum_is_certain() -> None:
    places = spine(18, 25)
    chosen, certainty = number(places)
    assert chosen == places
    assert certainty.status == "certain"
    assert certainty.probability > 0.99
    assert certainty.describe() == {
        "numbering": "certain",
        "numbering_probability": round(certainty.probability, 4),
        "numbering_reasons": [],
    }


def test_a_spine_whose_levels_respond_alike_is_uncertain() -> None:
    _, clear = number(spine(20, 25))
    _, alike = number(spine(20, 25), other=0.9)
    assert alike.probability < 0.5 < clear.probability
    assert alike.status == "uncertain"
    assert alike.reasons == ("another numbering is nearly as likely",)


@pytest.mark.parametrize(("first", "last", "count"), [(4, 10, 1), (10, 24, 1), (3, 9, 0), (2, 25, 0)])
def test_a_spine_without_an_end_in_view_is_uncertain(first: int, last: int, count: int) -> None:
    _, certainty = number(spine(first, last))
    assert len(certainty.reasons) == count
    assert all("no end of the spine in view" in reason for reason in certainty.reasons)


def four_lumbar() -> dict[int, float]:
    """Return a spine without L4-L5: the disc above the sacrum is one gap below L3-L4."""
    places = spine(14, 23)
    places[25] = places[23] - 35.0
    return places


def test_another_number_of_vertebrae_that_fits_clearly_better_is_used_and_reported() -> None:
    chosen, certainty = number(four_lumbar())
    assert chosen == four_lumbar()
    (reason,) = certainty.reasons
    assert "numbered with 4 lumbar vertebrae" in reason


def test_the_expected_number_of_vertebrae_is_certain() -> None:
    chosen, certainty = number(four_lumbar(), expected={"lumbar": 4})
    assert chosen == four_lumbar()
    assert certainty.status == "certain"


def test_of_several_numbers_that_fit_better_the_best_is_used() -> None:
    """A sixth lumbar vertebra: 13 thoracic ones fit better than 12, but not as well."""
    places = spine(14, 24)
    places[25] = places[24] - 70.0
    chosen, certainty = number(places)
    assert chosen == places
    assert "numbered with 6 lumbar vertebrae" in certainty.reasons[0]


def test_without_a_disc_there_is_no_numbering() -> None:
    match, certainty = number_discs(channels({}), LEVELS, PRIOR, lambda channel, positions: np.zeros(len(positions)))
    assert certainty is None
    assert not any(index is not None for index in match.choice)


def test_the_cost_is_relative_to_an_image_without_discs() -> None:
    found = channels(spine(20, 25))
    match, _ = number_discs(found, LEVELS, PRIOR, lambda channel, positions: np.zeros(len(positions)))
    assert match.cost == pytest.approx(search_skeleton(found, LEVELS, PRIOR).cost - 24 * 20)
    assert match.cost < 0
