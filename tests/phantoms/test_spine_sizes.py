from __future__ import annotations

import itertools

import pytest

from bundle.phantoms.spine.spine_sizes import VERTEBRAE, vertebrae_with


def names_of_discs(lumbar: int) -> dict[str, int | None]:
    vertebrae, values = vertebrae_with(lumbar)
    pairs = itertools.pairwise(vertebrae)
    return {f"{a.name}-{b.name}": value for (a, b), value in zip(pairs, values, strict=True)}


def test_a_usual_spine_has_every_level_from_3_to_25() -> None:
    discs = names_of_discs(5)
    numbered = [value for value in discs.values() if value is not None]
    assert numbered == list(range(3, 26))
    assert (discs["C7-T1"], discs["T12-L1"], discs["L5-S1"], discs["S1-S2"]) == (8, 20, 25, None)


def test_with_four_lumbar_vertebrae_24_is_missing_and_the_lumbosacral_disc_is_25() -> None:
    discs = names_of_discs(4)
    assert 24 not in discs.values()
    assert (discs["L3-L4"], discs["L4-S1"]) == (23, 25)


def test_with_six_lumbar_vertebrae_the_disc_above_the_sixth_has_no_number() -> None:
    discs = names_of_discs(6)
    assert (discs["L4-L5"], discs["L5-L6"], discs["L6-S1"]) == (24, None, 25)


def test_another_number_of_lumbar_vertebrae_is_an_error() -> None:
    with pytest.raises(ValueError, match="4, 5 or 6, got 7"):
        vertebrae_with(7)


def test_lumbar_vertebrae_are_larger_than_those_of_the_neck_and_the_sacrum_tapers() -> None:
    sizes = {vertebra.name: vertebra for vertebra in VERTEBRAE}
    assert sizes["L5"].depth > 1.8 * sizes["C5"].depth
    sacrum = [sizes[f"S{i}"].depth for i in range(1, 6)]
    assert sacrum == sorted(sacrum, reverse=True)
