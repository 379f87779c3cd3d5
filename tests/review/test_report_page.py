"""The page is one file, or has a folder next to it; what it shows is escaped."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from helpers.finished_run import write_run
from PIL import Image

from bundle.review import write_report
from bundle.utils.errors import FileError


def data_of(page: Path) -> dict:
    """Return the data in a page."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert text is not None
    return json.loads(text[1])


def test_one_file_has_everything(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", scored=True)
    page = write_report(folder)
    assert page == folder / "report.html"
    assert not (folder / "report_files").exists()
    content = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', content)
    assert "default-src 'none'" in content
    assert "BSD 2-Clause License" in content
    assert "dice 0.82 [0.8, 0.84]" in content
    assert "1 failed, 1 flagged, 2 without a flag" in content
    data = data_of(page)
    assert data["folder"] is None
    assert [case["case"] for case in data["cases"]] == ["zfailed", "case002", "case000", "case001"]
    assert [case["view"] for case in data["cases"]] == [None, 0, 1, 2]
    assert data["cases"][0]["suspicion"] == 1e6
    assert data["cases"][1]["labels"] == {"front": 1, "back": 2}
    assert data["cases"][1]["figure"].startswith("data:image/png;base64,")
    assert 'id="image2"' in content


def test_words_of_results_cannot_be_markup(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "<b>out", volumes=False))
    assert "<b>" not in page.read_text()
    assert "very" in data_of(page)["cases"][1]["problems"][0]


def test_a_large_page_leaves_figures_and_volumes_in_folders(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out")
    page = write_report(folder, tmp_path / "pages" / "run 1.html", largest_page=1000)
    data = data_of(page)
    assert data["folder"] == "run 1_files"
    assert data["cases"][1]["figure"] == "../out/case002_overlay.png"
    names = sorted(path.name for path in (tmp_path / "pages" / "run 1_files").iterdir())
    assert names == ["0.js", "1.js", "2.js", "NIIVUE_LICENSE", "niivue.umd.js"]
    assert (tmp_path / "pages" / "run 1_files" / "0.js").read_text().startswith('receiveView(0, {"image": "')
    assert "BSD 2-Clause License" not in page.read_text()
    again = write_report(folder, page)
    assert not (tmp_path / "pages" / "run 1_files").exists()
    assert data_of(again)["folder"] is None


@pytest.mark.parametrize("volumes", [False, "false"])
def test_volumes_can_be_left_out(volumes: bool | str, tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "out"), volumes=volumes)
    assert {case["view"] for case in data_of(page)["cases"]} == {None}
    assert "BSD 2-Clause License" not in page.read_text()


def test_a_label_map_without_its_image_has_no_volume(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out")
    (tmp_path / "in" / "case000.nii.gz").unlink()
    views = {case["case"]: case["view"] for case in data_of(write_report(folder))["cases"]}
    assert views == {"zfailed": None, "case002": 0, "case000": None, "case001": 1}


def test_without_a_figure_the_image_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    Image.new("RGBA", (900, 300), (200, 10, 10, 255)).save(tmp_path / "mole.png")
    record = {"case": "mole", "input": str(tmp_path / "mole.png"), "classes": {"melanoma": {"probability": 0.4}}}
    (folder / "mole.json").write_text(json.dumps(record))
    (folder / "figure.json").write_text(json.dumps({"case": "figure", "input": "gone.png"}))
    Image.new("RGB", (5, 5)).save(folder / "figure_overlay.jpg")
    figures = {case["case"]: case["figure"] for case in data_of(write_report(folder))["cases"]}
    with Image.open(BytesIO(base64.b64decode(figures["mole"].partition(",")[2]))) as shown:
        assert shown.size == (512, 171)
    assert figures["figure"].startswith("data:image/jpeg;base64,")


def test_a_metric_without_an_interval_is_not_available(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", scored=True)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["summary"]["front"]["dice"] = {"mean": None, "low": None, "high": None, "n": 0}
    metrics["summary"]["back"]["dice"] = {"mean": 0.5, "low": None, "high": None, "n": 1}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    content = write_report(folder).read_text()
    assert "dice n/a [n/a, n/a]" in content
    assert "dice 0.5 [n/a, n/a]" in content


def test_a_folder_of_something_else_is_not_removed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out")
    kept = tmp_path / "pages" / "index_files" / "paper.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(FileError, match=r"index_files: has the name of this page.*pass another --output"):
        write_report(folder, tmp_path / "pages" / "index.html")
    assert kept.read_text() == "mine"
    for _ in range(2):
        write_report(folder, tmp_path / "other.html", largest_page=1000)
    assert (tmp_path / "other_files" / "niivue.umd.js").is_file()
