"""PH2 is listed with its masks, split as in the papers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError, load_datalist
from bundle.data.datalist_file import write_datalist
from bundle.data.ph2 import prepare_ph2


@pytest.fixture
def ph2(tmp_path: Path) -> Path:
    for number in range(2, 22):
        for kind, ending in (("Dermoscopic_Image", ""), ("lesion", "_lesion"), ("roi", "_R1_Label3")):
            name = f"IMD{number:03}"
            file = tmp_path / "PH2 Dataset images" / name / f"{name}_{kind}" / f"{name}{ending}.bmp"
            file.parent.mkdir(parents=True)
            file.touch()
    return tmp_path


def test_the_split_has_the_shares_of_the_papers(ph2: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = prepare_ph2(ph2)
    folds = [item["fold"] for item in content["training"]]
    assert (folds.count(1), folds.count(0), len(content["test"])) == (8, 2, 10)
    assert "there are 20 images, not 200" in caplog.text
    assert content == prepare_ph2(ph2)
    assert content != prepare_ph2(ph2, seed=1)
    write_datalist(content, ph2 / "dataset.json")
    for case in load_datalist(ph2)["training"]:
        assert Path(case["label"]).is_file()
        assert Path(case["label"]).name == f"{Path(case['image']).stem}_lesion.bmp"


def test_what_cannot_be_used_is_refused(ph2: Path) -> None:
    with pytest.raises(DatalistError, match="holds no IMD"):
        prepare_ph2(ph2 / "absent")
    (ph2 / "PH2 Dataset images" / "IMD004" / "IMD004_lesion" / "IMD004_lesion.bmp").unlink()
    with pytest.raises(DatalistError, match=r"1 masks are missing, .*IMD004_lesion\.bmp"):
        prepare_ph2(ph2)
