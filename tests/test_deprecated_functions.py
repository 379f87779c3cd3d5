"""Functions of version 0.1 that overlays of users may still name."""

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser


def test_an_overlay_that_chooses_among_protocols_still_works() -> None:
    chooser = {"_target_": "bundle.datasets.choose_protocol", "name": "@protocol", "protocols": "@protocols"}
    protocols = {"published": {"epochs": 80}, "sound": {"epochs": 300}}
    parser = ConfigParser(
        {"protocol": "published", "protocols": protocols, "recipe": chooser, "epochs": "$@recipe['epochs']"}
    )
    with pytest.warns(FutureWarning, match="choose_protocol"):
        assert parser.get_parsed_content("epochs") == 80
