"""Gates are written by the slices of the input file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.explained import CHANNELS, KEYS, SLICES, Gated, prepared
from helpers.phantoms import meta_tensor
from PIL import Image

from bundle.explain import GateProfiles, SaveGatesd


@pytest.mark.parametrize("name", ["sa", "pam"])
def test_table_record_and_figure_are_by_the_slices_of_the_file(name: str, tmp_path: Path) -> None:
    """A file that runs from superior to inferior in slices of 2 mm: slice 0 is the last one of the volume."""
    network = Gated(name)
    data = prepared(tmp_path, np.diag([1.0, 1, -2, 1]), (1, 1, 2))
    profiles = GateProfiles(network, roi_size=(5, 6, 4), overlap=0)
    with torch.no_grad():
        labels = profiles(data["image"][None], network.eval())
    save = SaveGatesd("pred", profiles=profiles, label_names={"a": 1, "b": 2}, output_dir=tmp_path / "out")
    result = save({**data, "pred": meta_tensor(labels[0])})["record"].to_json()
    with open(result["table"], newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    gates = SLICES if name == "sa" else SLICES * CHANNELS[:, None]
    expected = np.concatenate([gates, gates], 1)[:, ::-1]
    keys = np.concatenate([KEYS, KEYS], 1)[:, ::-1]
    assert len(rows) == 2 * 8
    for row in rows:
        channel, number = int(row["channel"]), int(row["slice"])
        assert row["level"] == "gate"
        assert float(row["position_mm"]) == pytest.approx(-2 * number)
        assert float(row["gate"]) == pytest.approx(expected[channel, number], abs=1e-5)
        assert row["key"] == ("" if name == "sa" else str(keys[channel, number]))
    (level,) = json.loads((tmp_path / "out" / "scan_gates.json").read_text())["levels"]
    np.testing.assert_allclose(level["gate_mean"], expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(level["gate_max"], expected.max(0), atol=1e-5)
    if name == "pam":
        np.testing.assert_allclose(level["key_share"], keys.mean(0))
    else:
        assert level["key_share"] is None
    with Image.open(result["figure"]) as figure:
        assert min(figure.size) > 200
