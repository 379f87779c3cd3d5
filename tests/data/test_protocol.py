from __future__ import annotations

import pytest

from bundle.data import DatalistError, choose_protocol


def test_the_settings_are_those_of_the_protocol() -> None:
    assert choose_protocol("sound", {"published": {"epochs": 80}, "sound": {"epochs": 300}}) == {"epochs": 300}


def test_an_unknown_protocol_is_a_clear_error() -> None:
    with pytest.raises(DatalistError, match="protocol must be one of published, sound for this dataset, got 'good'"):
        choose_protocol("good", {"published": {}, "sound": {}})
