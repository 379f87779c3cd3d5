"""The overlay names what the configs know."""

from __future__ import annotations

from bundle.planning.choices import Choice
from bundle.planning.plan_overlay import channel_names, describe_classes, network_ids, region_ids


def test_classes_are_those_of_the_dataset_in_either_form() -> None:
    for labels in ({"0": "background", "1": "liver", "2": "ignore"}, {"background": 0, "liver": 1, "ignore": 2}):
        found = describe_classes({"labels": labels}, {})
        assert found == {"label_names": {"liver": 1}, "label_values": None, "ignore_label": 2}


def test_values_with_gaps_become_classes_from_1_on() -> None:
    labels = {"background": 0, "right": 53, "left": 17, "ignore": 255}
    found = describe_classes({"labels": labels}, {})
    assert found["label_names"] == {"left": 1, "right": 2}
    assert found["label_values"] == {"left": [17], "right": [53], "ignore": [255]}
    assert found["ignore_label"] is None
    assert "ignore" not in describe_classes({"labels": {"0": "background", "2": "liver"}}, {})["label_values"]


def test_channels_without_names_are_counted() -> None:
    assert channel_names({}, 1) == ["image"]
    assert channel_names({}, 2) == ["channel_0", "channel_1"]
    assert channel_names({"modality": {"0": "T1", "1": "T2"}}, 2) == ["T1", "T2"]
    assert channel_names({"channel_names": ["CT"]}, 1) == ["CT"]


def test_ignored_values_of_a_table_are_not_named_twice() -> None:
    labels = {"0": "background", "1": "liver"}
    table = {"liver": [6], "ignore": [9]}
    assert describe_classes({"labels": labels, "label_values": table}, {})["ignore_label"] is None


def test_classes_without_names_are_the_values_that_occur() -> None:
    structures = {"label_2": {"value": 2}, "label_5": {"value": 5}}
    found = describe_classes({}, structures)
    assert found["label_names"] == {"label_2": 1, "label_5": 2}
    assert found["label_values"] == {"label_2": [2], "label_5": [5]}
    assert describe_classes({}, {"label_1": {"value": 1}})["label_values"] is None


def test_regions_need_sigmoids() -> None:
    assert region_ids(None) == {}
    assert region_ids({"whole": [1, 2], "core": [2]})["network_def#out_channels"] == "$len(@regions)"


def test_slice_attention_is_along_the_thickest_slices() -> None:
    assert network_ids([[2, 2, 2]], [1, 1, 1], 1)["attention"] == "pam"
    thick = network_ids([[2, 1, 2], [2, 2, 2]], [1, 5, 1], 2)
    assert thick["attention"] == ["pam", {"slice_dim": 1}]
    assert thick["network_def#levels"] == {"strides": [[2, 1, 2], [2, 2, 2]]}
    assert thick["network_def#channels"] == [16, 32, 64]


def test_a_choice_is_one_line() -> None:
    choice = Choice("patch", "8 x 8", "fits", "dataset")
    assert choice.line() == "patch              8 x 8: fits"
    assert choice.line(explain=True).endswith("[dataset]")
