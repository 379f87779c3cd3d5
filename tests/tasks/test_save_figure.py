"""The figure of a case of disc labeling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from bundle.tasks.spine import SaveDiscFigured, save_figure
from bundle.tasks.spine.discs import Disc
from bundle.tasks.spine.discs.level_certainty import LevelCertainty


class Gated(nn.Module):
    """A network whose gate is open everywhere."""

    def attention_map(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect what is drawn instead of drawing it."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        save_figure,
        "save_disc_figure",
        lambda image, discs, path, **options: calls.append({"image": image, "path": path, **options}),
    )
    return calls


def case(discs: list[Disc]) -> dict[str, Any]:
    slabs = MetaTensor(torch.arange(3.0)[:, None, None, None].expand(3, 1, 8, 12).clone(), affine=torch.eye(4))
    slabs.meta.update(slab_positions_mm=torch.tensor([-6.0, 0.0, 6.0]), filename_or_obj="folder/spine.nii.gz")
    return {"image": slabs, "discs": discs}


@pytest.mark.parametrize(("lateral", "slab"), [(-5.0, 0.0), (0.5, 1.0), (40.0, 2.0)])
def test_the_slab_nearest_to_the_discs_is_drawn(lateral: float, slab: float, drawn: list, tmp_path: Path) -> None:
    SaveDiscFigured("discs", output_dir=tmp_path / "new")(case([Disc(3, (lateral, 4.0, 6.0))]))
    assert drawn[0]["path"] == tmp_path / "new" / "spine.png"
    assert np.unique(drawn[0]["image"]).tolist() == [slab]
    assert drawn[0]["attention"] is None


def test_without_discs_the_middle_is_drawn(drawn: list, tmp_path: Path) -> None:
    SaveDiscFigured("discs", output_dir=tmp_path)({**case([]), "case": "other"})
    assert drawn[0]["title"] == "other"
    assert np.unique(drawn[0]["image"]).tolist() == [1.0]


def test_the_title_states_how_certain_the_numbering_is(drawn: list, tmp_path: Path) -> None:
    certainty = LevelCertainty(0.621, ("no end of the spine in view",))
    SaveDiscFigured("discs", output_dir=tmp_path)({**case([]), "case": "a", "numbering": certainty})
    assert drawn[0]["title"] == "a\nnumbering uncertain, p = 0.62"


def test_the_gate_of_a_network_is_drawn_next_to_it(drawn: list, tmp_path: Path) -> None:
    SaveDiscFigured("discs", output_dir=tmp_path, network=Gated())(case([]))
    np.testing.assert_array_equal(drawn[0]["attention"], np.ones((8, 12)))


def test_a_network_without_a_gate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Conv2d has no attention to draw"):
        SaveDiscFigured("discs", output_dir=tmp_path, network=nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize("enabled", [False, "false"])
def test_figures_can_be_turned_off(enabled: bool | str, drawn: list, tmp_path: Path) -> None:
    SaveDiscFigured("discs", output_dir=tmp_path, enabled=enabled)(case([]))
    assert not drawn


def test_without_matplotlib_it_warns_and_continues(
    drawn: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(save_figure, "find_spec", lambda _: None)
    SaveDiscFigured("discs", output_dir=tmp_path)(case([]))
    assert not drawn
    assert "pip install 'keyslice[demo]'" in caplog.text
