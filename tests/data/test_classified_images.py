"""Images with classes are listed with like shares of all classes in every part, and selected with their targets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bundle import ROOT
from bundle.data import DatalistError, class_sampler, select_classified
from bundle.data.classified_images import prepare_classified_folder
from bundle.data.datalist_file import write_datalist

CLASSES = ("melanoma", "keratosis")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 images: 10 melanoma, 10 keratosis, 20 neither."""
    (tmp_path / "images").mkdir()
    rows = ["image_id,melanoma,keratosis,age"]
    for number in range(40):
        (tmp_path / "images" / f"{number:02}.jpg").touch()
        rows.append(f"{number:02},{int(number % 4 == 0)},{float(number % 4 == 1)},50")
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "99,1,0,50"]) + "\n")
    return tmp_path


def prepare(folder: Path, **options: object) -> dict:
    return prepare_classified_folder(folder, **{"classes": CLASSES, "folds": 4, **options})


def test_every_part_has_its_share_of_every_class(folder: Path) -> None:
    content = prepare(folder)
    parts = [content["test"], *([i for i in content["training"] if i["fold"] == fold] for fold in range(4))]
    for part in parts:
        assert len(part) == 8
        assert [sum(item["classes"][name] for item in part) for name in CLASSES] == [2, 2]
    assert len({item["image"] for part in parts for item in part}) == 40
    assert content == prepare(folder)
    assert content != prepare(folder, seed=1)


def test_parts_that_a_table_names_are_kept(folder: Path) -> None:
    rows = [f"{number:02},{('training', 'validation', 'test')[number % 3]}" for number in range(40)]
    (folder / "split.csv").write_text("\n".join(["image_id,split", *rows]) + "\n")
    content = prepare(folder, splits="split.csv")
    assert [item["image"] for item in content["test"]] == [f"images/{number:02}.jpg" for number in range(2, 40, 3)]
    assert [item["fold"] for item in content["training"]] == [number % 3 == 0 for number in range(40) if number % 3 < 2]


def test_a_class_that_a_validation_cannot_judge_is_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = prepare(folder)
    for item in content["training"]:
        item["classes"]["keratosis"] = 0
    write_datalist(content, folder / "dataset.json")
    select_classified(folder, "training", classes=CLASSES)
    assert "undefined" not in caplog.text
    select_classified(folder, "validation", classes=CLASSES)
    assert "0 of 8 images of the validation are of the class keratosis, so that its area under the curve" in caplog.text
    assert "class melanoma" not in caplog.text


def test_rows_that_contradict_each_other_are_refused(folder: Path) -> None:
    with open(folder / "labels.csv", "a") as stream:
        stream.write("\n01,1,0,50\n")
    with pytest.raises(DatalistError, match="has rows of 01 with different classes; keep one of them"):
        prepare(folder)


def test_targets_are_in_the_order_of_the_classes(folder: Path) -> None:
    write_datalist(prepare(folder), folder / "dataset.json")
    for split, count in (("training", 24), ("validation", 8), ("test", 8), ("all", 40)):
        cases = select_classified(folder, split, classes=CLASSES[::-1], fold=1)
        assert len(cases) == count
        for case in cases:
            assert case["case"] == Path(case["image"]).stem
            assert Path(case["image"]).is_file()
            assert case["label"].dtype == np.float32
            place = int(case["case"]) % 4
            np.testing.assert_array_equal(case["label"], [place == 1, place == 0])


def test_a_section_validation_is_fold_0(folder: Path) -> None:
    content = prepare(folder)
    items = [{key: value for key, value in item.items() if key != "fold"} for item in content["training"]]
    (folder / "mine.json").write_text(json.dumps({"training": items[4:], "validation": items[:4]}))
    named = {
        split: select_classified(folder, split, classes=CLASSES, datalist=folder / "mine.json")
        for split in ("training", "validation", "all")
    }
    assert [Path(case["image"]).name for case in named["validation"]] == [Path(i["image"]).name for i in items[:4]]
    assert (len(named["training"]), len(named["all"])) == (len(items) - 4, len(items))


def test_a_datalist_without_folds_is_assigned_to_five(folder: Path) -> None:
    content = prepare(folder, test_share=0)
    for item in content["training"]:
        del item["fold"]
    (folder / "mine.json").write_text(json.dumps(content))
    cases = [
        select_classified(folder, "validation", classes=CLASSES, datalist=folder / "mine.json", fold=fold)
        for fold in range(5)
    ]
    assert [len(fold) for fold in cases] == [8] * 5
    assert len({case["case"] for fold in cases for case in fold}) == 40


def named_by(folder: Path, column: str, *, table: str = "labels.csv", first: str = "image_id") -> Path:
    """Name the patient or lesion of two images each in a table."""
    if table == "labels.csv":
        rows = (folder / table).read_text().splitlines()
        (folder / table).write_text(
            "\n".join([f"{column},{rows[0]}", *(f"L{n // 2},{r}" for n, r in enumerate(rows[1:]))])
        )
    else:
        mark = "\t" if table.endswith(".tsv") else ","
        rows = [f"{first}{mark}{column}", *(f"{n:02}.jpg{mark}L{n // 2}" for n in range(40))]
        (folder / table).write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    ("table", "column", "key"),
    [
        ("labels.csv", "lesion_id", "group"),
        ("labels.csv", "Patient ID", "patient"),
        ("HAM10000_metadata.csv", "lesion_id", "group"),
        ("metadata.TSV", "subject", "patient"),
    ],
)
def test_images_that_a_table_names_together_stay_together(
    table: str, column: str, key: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    if table.endswith(".TSV"):
        named_by(folder, column, table="metadata.tsv").joinpath("metadata.tsv").rename(folder / table)
    else:
        named_by(folder, column, table=table)
    content = prepare(folder)
    parts: dict[str, set[object]] = {}
    for item in content["training"] + content["test"]:
        parts.setdefault(item[key], set()).add(item.get("fold", "test"))
    assert len(parts) == 20
    assert all(len(found) == 1 for found in parts.values())
    assert f"images of the same {column} stay together" in caplog.text
    write_datalist(content, folder / "dataset.json")
    for item in content["training"]:
        del item["fold"]
    (folder / "mine.json").write_text(json.dumps(content))
    for fold in range(5):
        found = select_classified(folder, "validation", classes=CLASSES, datalist=folder / "mine.json", fold=fold)
        assert len(found) == 2 * len({case[key] for case in found})


def test_tables_without_patients_change_nothing(folder: Path) -> None:
    plain = prepare(folder)
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "empty.csv").write_text("")
    (folder / "unknown.csv").write_text("image_id,patient_id\n00,\n01,NaN\n02\n")
    (folder / "binary.csv").write_bytes(b"image_id,patient_id\n\xff\xfe,1\n")
    assert prepare(folder) == plain


def test_a_datalist_of_which_some_images_have_a_fold_is_refused(folder: Path) -> None:
    content = prepare(folder)
    del content["training"][3]["fold"]
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DatalistError, match="some images have a 'fold' and others have none"):
        select_classified(folder, "training", classes=CLASSES)


def test_all_images_can_be_trained_with(folder: Path) -> None:
    write_datalist(prepare(folder), folder / "dataset.json")
    assert len(select_classified(folder, "training", classes=CLASSES, fold="all")) == 32


def test_what_cannot_be_listed_is_refused(folder: Path) -> None:
    with pytest.raises(DatalistError, match="test_share must lie in"):
        prepare(folder, test_share=1)
    with pytest.raises(DatalistError, match="8 images or patients are left for 9 folds"):
        prepare(folder, test_share=0.8, folds=9)
    with pytest.raises(DatalistError, match="lacks the column nevus"):
        prepare(folder, classes=["nevus"])
    with pytest.raises(DatalistError, match="they must be 0 or 1"):
        prepare(folder, classes=["age"])
    with pytest.raises(DatalistError, match="cannot be read"):
        prepare(folder, table="absent.csv")
    with pytest.raises(DatalistError, match="holds no images"):
        prepare(folder, images="absent")
    (folder / "images" / "new.jpg").touch()
    with pytest.raises(DatalistError, match=r"does not name 1 images, the first of these: new\.jpg"):
        prepare(folder)
    (folder / "labels.csv").write_text("name,melanoma,keratosis\na,0,1\n")
    with pytest.raises(DatalistError, match="lacks the column image_id or image"):
        prepare(folder)
    (folder / "labels.csv").write_text("")
    with pytest.raises(DatalistError, match="lacks the column melanoma"):
        prepare(folder)


def test_without_a_fold_all_but_the_test_is_trained_with(folder: Path) -> None:
    content = prepare(folder)
    write_datalist(content, folder / "dataset.json")
    cases = select_classified(folder, "training", classes=CLASSES, fold=None)
    assert len(cases) == len(content["training"])


def test_what_cannot_be_selected_is_refused(folder: Path) -> None:
    write_datalist(prepare(folder), folder / "dataset.json")
    with pytest.raises(DatalistError, match="split must be one of"):
        select_classified(folder, "train", classes=CLASSES)
    with pytest.raises(DatalistError, match=r"has no fold 9, only \[0, 1, 2, 3\]; pass --fold"):
        select_classified(folder, "validation", classes=CLASSES, fold=9)
    with pytest.raises(DatalistError, match="an item needs an 'image' and 'classes' with nevus"):
        select_classified(folder, "all", classes=["nevus"])
    (folder / "dataset.json").write_text(json.dumps({"training": ["a.jpg"]}))
    with pytest.raises(DatalistError, match=r"holds 'a\.jpg'"):
        select_classified(folder, "all", classes=CLASSES)


def cases_of(*counts: int) -> SimpleNamespace:
    """Return a dataset with this many images of a first class, of a second, and of neither."""
    kinds = [(1, 0)] * counts[0] + [(0, 1)] * counts[1] + [(0, 0)] * counts[2]
    return SimpleNamespace(data=[{"label": np.array(kind, dtype=np.float32)} for kind in kinds])


@pytest.mark.parametrize(
    ("balance", "shares"),
    [(0.0, (16 / 21, 1 / 21, 4 / 21)), (0.5, (4 / 7, 1 / 7, 2 / 7)), (1.0, (1 / 3, 1 / 3, 1 / 3))],
)
def test_the_sampler_draws_rare_classes_more_often(balance: float, shares: tuple[float, ...]) -> None:
    sampler = class_sampler(cases_of(16, 1, 4), balance=balance)
    total = float(sampler.weights.sum())
    parts = [float(part.sum()) / total for part in (sampler.weights[:16], sampler.weights[16:17], sampler.weights[17:])]
    np.testing.assert_allclose(parts, shares)
    assert len(list(sampler)) == 21


def test_the_number_of_draws_is_an_option_and_bad_numbers_are_refused() -> None:
    assert len(list(class_sampler(cases_of(2, 1, 1), samples=50))) == 50
    for options in ({"balance": 1.5}, {"balance": -0.1}, {"samples": 0}):
        with pytest.raises(DatalistError, match=r"balance must lie in \[0, 1\]"):
            class_sampler(cases_of(2, 1, 1), **options)


@pytest.mark.real_data
def test_the_sample_data_is_listed(shared_data: Path) -> None:
    classes = ("melanoma", "seborrheic_keratosis")
    content = prepare_classified_folder(shared_data / "skin_classification", classes=classes, folds=4)
    every = content["training"] + content["test"]
    assert [sum(item["classes"][name] for item in every) for name in classes] == [80, 40]
    assert [sum(item["classes"][name] for item in content["test"]) for name in classes] == [16, 8]


@pytest.mark.real_data
def test_the_committed_split_is_the_official_one(shared_data: Path) -> None:
    classes = ("melanoma", "seborrheic_keratosis")
    content = prepare_classified_folder(
        shared_data / "isic2017" / "classification", classes=classes, splits="labels.csv"
    )
    split = Path(ROOT, "configs", "datasets", "isic2017_classes_split.json")
    assert json.loads(split.read_text(encoding="utf-8")) == content
