"""The list of labels, with a key for each kind."""

from __future__ import annotations

from monailabel.datastore.local import DataModel, ImageLabelModel

from bundle.server.label_list import LabelList

EXTENSIONS = {"final": ".png", "final.classes": ".classes.json", "draft.classes": ".classes.json"}


def make_list(extensions: dict[str, str]) -> LabelList:
    labels = {key: DataModel(ext=extension) for key, extension in extensions.items()}
    item = ImageLabelModel(image=DataModel(ext=".jpg"), labels=labels)
    return LabelList(name="l", description="", objects={"p": item.model_dump()}, base_path="studies")


def test_a_label_is_found_by_tag_and_kind() -> None:
    labels = make_list(EXTENSIONS)
    tags = ("final", "final.label_map", "final.classes", "final.markups", "draft", "other")
    found = [labels.label("p", tag) for tag in tags]
    assert [label and label.ext for label in found] == [
        ".png",
        ".png",
        ".classes.json",
        None,
        ".classes.json",
        None,
    ]
    assert labels.label("q", "final") is None


def test_all_kinds_are_in_the_folder_of_their_tag() -> None:
    labels = make_list(EXTENSIONS)
    assert labels.label_path("final.classes") == labels.label_path("final") == "studies/labels/final"
    assert labels.label_path(None) == "studies/labels"
    assert labels.tags() == {"final", "draft"}


def test_images_are_found_by_a_label_of_any_kind() -> None:
    labels = make_list(EXTENSIONS)
    assert [list(labels.filter_by_tag(tag)) for tag in ("final", "draft", "other")] == [["p"], ["p"], []]


def test_keys_of_earlier_versions_are_converted() -> None:
    labels = make_list({"final": ".classes.json", "draft": ".png"})
    assert list(labels.objects["p"].labels) == ["final.classes", "draft"]
