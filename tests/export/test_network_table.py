"""The table of the networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bundle.attention import Attention
from bundle.export import network_table
from bundle.export.network_table import BEGIN, END, Row, measure_networks, write_network_table

ROW = Row("unet", "AttentionUNet", (64, 128, 128), 1_021_553, 59_391_344_640, 1.004, ("se",), "https://example.org/a")


def test_every_overlay_is_a_row_and_the_plain_network_comes_first() -> None:
    names = list(network_table.network_overlays())
    assert names[0] == "unet"
    assert set(names[1:]) == {file.stem for file in (network_table.CONFIGS / "networks").glob("*.json")}


def test_rows_hold_what_can_be_counted_by_hand() -> None:
    (row,) = measure_networks(names=["unet2d"], volume=(16, 16, 16), image=(32, 48), repeats=1)
    assert (row.name, row.kind, row.size) == ("unet2d", "AttentionUNet", (32, 48))
    assert row.parameters == sum(value.numel() for value in network_table.build_network(_config("unet2d")).parameters())
    assert row.paper == "https://arxiv.org/abs/1606.06650"
    assert row.relative_time > 0
    assert "ag" in row.attention
    assert "pam" not in row.attention


def test_multiply_adds_of_a_convolution_are_kernel_times_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_table, "build_network", lambda config: nn.Conv3d(1, 5, 3, padding=1))
    assert network_table.count_multiply_adds({}, (4, 6, 8)) == 5 * 27 * 4 * 6 * 8


def test_network_without_stages_takes_no_attention() -> None:
    (row,) = measure_networks(names=["deepmedic"], volume=(20, 20, 20), repeats=1)
    assert row.attention == ()
    assert row.size == (20, 20, 20)


def test_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    measure_networks(names=["unet"], volume=(16, 16, 16), repeats=1)
    assert torch.get_num_threads() == before


def test_name_that_is_no_overlay_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names must be of unet, .*, got unett"):
        measure_networks(names=["unett"])


@pytest.mark.parametrize(
    ("taken", "cell"),
    [
        ((), "none"),
        (("se", "pe"), "se, pe"),
        (tuple(name.lower() for name in Attention.names), "all"),
        (tuple(name.lower() for name in Attention.names if name != "AG"), "all but ag"),
    ],
)
def test_mechanisms_are_listed_in_the_shorter_way(taken: tuple[str, ...], cell: str) -> None:
    row = Row(**{**ROW.__dict__, "attention": taken})
    assert f"| {cell} |" in network_table.format_table([row])


def test_table_is_put_between_the_marks_and_the_rest_of_the_page_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n\n{BEGIN}\nold\n{END}\n\ntail\n")
    for _ in range(2):
        write_network_table([ROW], page)
    text = page.read_text()
    assert text.startswith(f"# Head\n\n{BEGIN}\n\n| overlay |")
    assert text.endswith(f"\n\n{END}\n\ntail\n")
    assert "| `unet` | `AttentionUNet` | 64 x 128 x 128 | 1.022 M | 59.4 G | 1.00 | se |" in text
    assert "old" not in text


def test_page_without_the_marks_is_refused_and_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks")
    with pytest.raises(ValueError, match=r"page\.md must contain the lines"):
        write_network_table([ROW], page)
    assert page.read_text() == "no marks"


def test_module_without_a_paper_has_no_address() -> None:
    assert network_table._paper(nn.Identity()) == ""


def _config(name: str) -> dict:
    return network_table.network_overlays()[name]
