"""Remarks are logged and added to the metadata of an image."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from bundle.utils.image_remarks import add_remarks


def test_remarks_are_added_behind_earlier_ones(caplog: pytest.LogCaptureFixture) -> None:
    image = MetaTensor(torch.zeros(1), meta={"remarks": "first", "filename_or_obj": "a.nii.gz"})
    with caplog.at_level("INFO"):
        add_remarks(image, ["second", "third"])
    assert image.meta["remarks"] == "first; second; third"
    assert [record.message for record in caplog.records] == ["a.nii.gz: second", "a.nii.gz: third"]


def test_without_a_remark_nothing_changes() -> None:
    image = MetaTensor(torch.zeros(1))
    add_remarks(image, [])
    assert "remarks" not in image.meta


def test_remarks_on_a_plain_tensor_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        add_remarks(torch.zeros(1), ["cropped"])
    assert caplog.messages == ["image: cropped"]
