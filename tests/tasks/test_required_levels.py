"""A network whose levels no labeled disc has is not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.disc_cases import make_disc_workflow, write_spines

from bundle.data.datalist_file import DatalistError
from bundle.tasks.spine import require_levels
from bundle.tasks.spine.discs.disc_json import write_disc_json
from bundle.tasks.spine.discs.disc_points import Disc
from bundle.utils.mistakes import describe_mistake


def cases(folder: Path, *numbers: list[int]) -> list[dict[str, Any]]:
    paths = [folder / f"{place}.json" for place in range(len(numbers))]
    for path, values in zip(paths, numbers, strict=True):
        write_disc_json([Disc(value, (0.0, 0.0, -30.0 * value)) for value in values], path)
    return [{"label": str(path)} for path in paths]


def test_one_labeled_disc_among_the_levels_will_do(tmp_path: Path) -> None:
    listed = cases(tmp_path, [], [20, 21], [24])
    assert require_levels(listed, first_level=24, level_count=2) is listed
    assert require_levels(listed[:1], first_level=2, level_count=3) == listed[:1]


def test_without_one_the_levels_and_the_discs_are_named(tmp_path: Path) -> None:
    listed = cases(tmp_path, [21, 20], [22])
    message = "level_count 5 mean the levels 2 to 6, but the labeled discs have the numbers 20, 21, 22; pass --first_l"
    with pytest.raises(DatalistError, match=message):
        require_levels(listed, first_level=2, level_count=5)


@pytest.mark.parametrize(("first", "count"), [(99, 24), (0, 3), (20, 7), (3, 0)])
def test_levels_are_numbers_of_discs(first: int, count: int) -> None:
    message = rf"the levels {first} to {first + count - 1}, but discs have the numbers 1 \(C1-top\) to 25"
    with pytest.raises(DatalistError, match=message):
        require_levels([], first_level=first, level_count=count)


def test_a_file_that_cannot_be_read_is_left_to_the_loader_to_report(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("no JSON")
    listed = [{"label": str(tmp_path / "a.json")}]
    assert require_levels(listed, first_level=2, level_count=1) is listed


def test_a_training_says_so_at_its_start(tmp_path: Path) -> None:
    dataset = write_spines(tmp_path / "in", 3)
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "out"), "first_level": 99}
    workflow = make_disc_workflow("train", **options)
    with pytest.raises(RuntimeError) as caught:
        workflow.run()
    assert "first_level 99" in str(describe_mistake(caught.value))


def test_discs_next_to_l6_count_as_the_levels_that_a_network_knows(tmp_path: Path) -> None:
    listed = cases(tmp_path, [245, 255])
    assert require_levels(listed, first_level=24, level_count=2) is listed
    with pytest.raises(DatalistError, match="the labeled discs have the numbers 25; pass --first_level 25"):
        require_levels(listed, first_level=2, level_count=3)
