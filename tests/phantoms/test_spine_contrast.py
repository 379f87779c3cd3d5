from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms.spine.spine_contrast import FREQUENCY, SIGNALS, TISSUES, draw_contrast


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_are_drawn_from_the_table_of_the_sequence(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        contrast, tissue = draw_contrast(rng, name)
        assert contrast == name
        assert all(low <= tissue[t] <= high for t, (low, high) in zip(TISSUES, SIGNALS[name], strict=True))


def test_fluid_is_bright_in_t2_and_dark_in_t1_and_fat_is_dark_where_it_is_suppressed() -> None:
    rng = np.random.default_rng(1)
    tissue = {name: draw_contrast(rng, name)[1] for name in SIGNALS}
    assert tissue["t2"]["csf"] > tissue["t2"]["cord"]
    assert tissue["t1"]["csf"] < tissue["t1"]["cord"]
    assert tissue["t1"]["fat"] > 2 * tissue["ffe"]["fat"]
    assert tissue["stir"]["fat"] < tissue["stir"]["csf"]
    assert tissue["ffe"]["nucleus"] > tissue["ffe"]["marrow"]


def test_a_sequence_that_is_not_named_is_drawn_with_its_frequency() -> None:
    rng = np.random.default_rng(2)
    drawn = [draw_contrast(rng)[0] for _ in range(2000)]
    assert sum(FREQUENCY.values()) == pytest.approx(1)
    for name, share in FREQUENCY.items():
        assert drawn.count(name) / 2000 == pytest.approx(share, abs=0.05)


def test_an_unknown_sequence_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of t2, t1, t1_gre, ffe, stir, .* got 'flair'"):
        draw_contrast(np.random.default_rng(0), "flair")
