"""A table of ratings leaves cases out, and must be of these cases."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundle.data import CaseReview, DatalistError, select_cases
from bundle.data.case_review import Rating, match_ratings, read_ratings, review_datalist

HEADER = "case,input,rating,note,flags,rated\r\n"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "qc.csv"
    path.write_text(header + "".join(f"{row}\r\n" for row in rows), newline="")
    return path


def cases(*names: str) -> list[dict[str, Any]]:
    return [{"case": name, "image": f"/data/{name}.nii.gz"} for name in names]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [case["case"] for case in found]


class TestRatings:
    def test_rows_of_the_page_are_read(self, tmp_path: Path) -> None:
        path = table(
            tmp_path, 'a,/data/a.nii.gz,needs correction,"too small, left",flag,2026-11-29T12:00:00.500Z', "b,,,,,"
        )
        first, second = read_ratings(path)
        rated = "2026-11-29T12:00:00.500Z"
        assert first == Rating("a", "/data/a.nii.gz", "needs correction", "too small, left", rated)
        assert first.time == datetime(2026, 11, 29, 12, 0, 0, 500_000, tzinfo=UTC).timestamp()
        assert second == Rating("b")
        assert second.time is None

    def test_a_note_may_hold_any_character(self, tmp_path: Path) -> None:
        note = "cut\u2028at the\x0bedge\x85"
        path = tmp_path / "qc.csv"
        path.write_text(f'case,rating,note\r\na,fail,{note}\r\nb,pass,"two\nlines"\r\n', encoding="utf-8", newline="")
        assert [rating.note for rating in read_ratings(path)] == [note.strip(), "two\nlines"]

    def test_a_table_that_a_spreadsheet_has_saved_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "qc.csv"
        path.write_text("case;rating\r\na; Fail \r\n", encoding="utf-8-sig", newline="")
        assert read_ratings(path) == [Rating("a", rating="fail")]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "lacks the column 'case' or has no row"),
            ("case,note\na,b\n", "lacks the column 'rating'"),
            ("case,rating\na,bad\n", "a has the rating 'bad'; a rating is pass, needs correction, fail or empty"),
            ("case,rating\na,fail\na,pass\n", "names the case 'a' more than once"),
        ],
    )
    def test_another_table_is_refused(self, content: str, message: str, tmp_path: Path) -> None:
        (tmp_path / "qc.csv").write_text(content)
        with pytest.raises(DatalistError, match=message):
            read_ratings(tmp_path / "qc.csv")

    def test_a_missing_table_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DatalistError, match=r"none\.csv: cannot be read"):
            read_ratings(tmp_path / "none.csv")


class TestMatching:
    def test_the_image_counts_more_than_the_name(self) -> None:
        known = {0: {"case": "x", "image": "/one/a.nii.gz"}, 1: {"case": "y", "image": "/two/a.nii.gz"}}
        assert match_ratings([Rating("a", "/two/a.nii.gz", "fail")], known, "qc") == {
            1: Rating("a", "/two/a.nii.gz", "fail")
        }

    def test_the_name_of_the_file_counts_where_a_case_has_no_name(self) -> None:
        known = {0: {"image": ["/one/a.nii.gz", "/one/b.nii.gz"]}, 1: {"image": "/two/c.jpg"}}
        assert list(match_ratings([Rating("a"), Rating("c")], known, "qc")) == [0, 1]

    def test_a_name_that_fits_several_cases_is_refused(self) -> None:
        known = {0: {"case": "x", "image": "/one/a.nii.gz"}, 1: {"case": "y", "image": "/two/a.nii.gz"}}
        with pytest.raises(DatalistError, match="qc: the name 'a' fits several cases"):
            match_ratings([Rating("a")], known, "qc")

    def test_names_that_fit_no_case_are_refused(self) -> None:
        ratings = [Rating(name) for name in "abcde"]
        with pytest.raises(DatalistError, match="qc: 4 of its names fit no case, such as b, c, d; pass the table"):
            match_ratings(ratings, {0: cases("a")[0]}, "qc")


class TestSelection:
    def test_failed_cases_are_left_out_and_logged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        path = table(tmp_path, "a,,fail,,,", "b,,pass,,,", "c,,needs correction,,,")
        review = CaseReview(path)
        assert names(review.select(cases("a", "b", "c", "d"))) == ["b", "c", "d"]
        assert f"{path}: 1 of 4 cases are left out: a" in caplog.text
        assert review.to_json() == {"qc": str(path), "keep": "not_failed", "left_out": ["a"]}

    def test_passed_cases_alone_can_be_kept(self, tmp_path: Path) -> None:
        review = CaseReview(table(tmp_path, "a,,fail,,,", "b,,pass,,,", "c,,,,,"), "passed")
        assert names(review.select(cases("a", "b", "c", "d"))) == ["b"]
        assert review.left_out == ["a", "c", "d"]

    def test_without_a_table_all_are_kept(self) -> None:
        assert names(CaseReview().select(cases("a"))) == ["a"]

    def test_nothing_left_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DatalistError, match=r"all cases are left out \(qc_keep passed\)"):
            CaseReview(table(tmp_path, "a,,fail,,,"), "passed").select(cases("a"))

    def test_an_unknown_choice_is_refused(self) -> None:
        with pytest.raises(DatalistError, match="qc_keep must be one of not_failed, passed, got 'best'"):
            CaseReview(None, "best")  # type: ignore[arg-type]

    def test_a_table_of_all_splits_serves_one(self, tmp_path: Path) -> None:
        items = [
            {"image": f"{name}.nii.gz", "label": f"{name}_l.nii.gz", "fold": number} for number, name in enumerate("ab")
        ]
        (tmp_path / "dataset.json").write_text(
            json.dumps({"training": items, "test": [{**items[0], "image": "t.nii.gz"}]})
        )
        for name in ("a", "b", "t", "a_l", "b_l"):
            (tmp_path / f"{name}.nii.gz").touch()
        review = CaseReview(table(tmp_path, "a,,fail,,,", "t,,fail,,,"))
        assert names(select_cases(tmp_path, "training", fold=1, review=CaseReview(table(tmp_path, "b,,fail,,,")))) == [
            "a"
        ]
        assert names(select_cases(tmp_path, "all", review=review)) == ["b"]


class TestDatalists:
    def test_kept_cases_keep_their_folds(self, tmp_path: Path) -> None:
        content = {
            "seed": 1,
            "training": [{"image": f"x/{name}.nii.gz", "fold": number} for number, name in enumerate("ab")],
            "test": [{"image": ["c_1.nii.gz", "c_2.nii.gz"]}, {"image": "d.nii.gz"}],
        }
        review = CaseReview(table(tmp_path, "a,,fail,,,", "c,,fail,,,"))
        found = review_datalist(content, tmp_path, review)
        assert found["training"] == [{"image": "x/b.nii.gz", "fold": 1}]
        assert found["test"] == [{"image": "d.nii.gz"}]
        assert found["review"]["left_out"] == ["a", "c"]
        assert list(found) == ["seed", "training", "test", "review"]

    def test_images_are_named_without_their_endings(self, tmp_path: Path) -> None:
        content = {"training": [{"image": f"{name}/x.jpg"} for name in "ab"]}
        found = review_datalist(content, tmp_path, CaseReview(table(tmp_path, "b_x,,fail,,,")))
        assert found["training"] == [{"image": "a/x.jpg"}]


def test_two_rows_that_rate_one_image_differently_are_an_error(tmp_path: Path) -> None:
    rows = ("other,/data/a.nii.gz,fail,,,", "a,,pass,,,")
    with pytest.raises(DatalistError, match="'other' and 'a' are one case with the ratings fail and pass; keep one"):
        CaseReview(table(tmp_path, *rows)).select(cases("a", "b"))
    same = table(tmp_path, rows[0], "a,,fail,,,")
    assert names(CaseReview(same).select(cases("a", "b"))) == ["b"]


def test_a_quotation_mark_without_its_other_is_an_error(tmp_path: Path) -> None:
    path = table(tmp_path, f'a,,fail,"{"x" * 200_000}')
    with pytest.raises(DatalistError, match=r"qc.csv: is no table \(field larger.*quotation mark"):
        read_ratings(path)
