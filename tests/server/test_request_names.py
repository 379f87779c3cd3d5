"""Names in requests never lead out of a folder."""

from __future__ import annotations

import pytest

from bundle.server.request_names import check_name, get_base_name, is_session_id
from bundle.server.server_errors import RequestError

BAD = ["", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".hidden", "a\0b", "a\nb", "x" * 201]


@pytest.mark.parametrize("name", BAD)
def test_paths_and_hidden_names_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="is not a file name") as error:
        check_name("image", name)
    assert error.value.status == 400


@pytest.mark.parametrize("name", ["case_001", "a b", "Müller-1.2", "x" * 200])
def test_file_names_are_accepted(name: str) -> None:
    assert check_name("image", name) == name


@pytest.mark.parametrize("name", ["../x", "", "a.b", "x" * 65])
def test_session_ids_are_recognized(name: str) -> None:
    assert not is_session_id(name)
    assert is_session_id("3f1c0c3e-c6f0-11f0-9a5c-0242ac110002")


def test_folders_are_removed_from_file_names() -> None:
    assert get_base_name("C:\\scans\\a.nii.gz", "x") == "a.nii.gz"
    assert get_base_name("../../a.nii.gz", "x") == "a.nii.gz"
    assert get_base_name(None, "image.nii.gz") == get_base_name("/", "image.nii.gz") == "image.nii.gz"
    with pytest.raises(RequestError):
        get_base_name("../..", "x")
