"""Sessions stay in their folder, and incomplete ones do no harm."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from monailabel.utils.sessions import Sessions

from bundle.server.server_errors import RequestError
from bundle.server.sessions import StudySessions


@pytest.fixture
def sessions(tmp_path: Path) -> StudySessions:
    """Sessions in an empty folder."""
    (tmp_path / "sessions").mkdir()
    return StudySessions(str(tmp_path / "sessions"))


def upload(tmp_path: Path, name: str = "a.nii.gz") -> str:
    (tmp_path / name).write_bytes(b"x")
    return str(tmp_path / name)


def test_a_session_is_stored_and_removed(sessions: StudySessions, tmp_path: Path) -> None:
    name, info = sessions.add_session(upload(tmp_path))
    assert sessions.get_session(name).image == info.image
    assert sessions.remove_expired() == 0
    sessions.remove_session(name)
    assert sessions.get_session(name) is None


def test_paths_are_not_session_ids(sessions: StudySessions, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copyfile(Path(sessions.add_session(upload(tmp_path))[1].path, "meta.info"), outside / "meta.info")
    assert Sessions(sessions.store_path).get_session("../outside", update_ts=False) is not None
    assert sessions.get_session("../outside") is None
    sessions.remove_session("../outside")
    assert outside.is_dir()


def test_an_interrupted_upload_does_not_prevent_the_start(sessions: StudySessions, tmp_path: Path) -> None:
    for name, content in (("empty", None), ("garbage", "{"), ("list", "[]"), ("dangling", '{"image": "/nowhere"}')):
        folder = Path(sessions.store_path, name)
        folder.mkdir()
        if content is not None:
            (folder / "meta.info").write_text(content)
    Path(sessions.store_path, "file").touch()
    kept, _ = sessions.add_session(upload(tmp_path))
    assert sessions.remove_expired() == 0
    assert sorted(os.listdir(sessions.store_path)) == sorted([kept, "file"])


def test_monailabel_still_fails_with_an_incomplete_session(sessions: StudySessions) -> None:
    Path(sessions.store_path, "empty").mkdir()
    with pytest.raises(AttributeError):
        Sessions(sessions.store_path).remove_expired()


def test_a_tar_archive_with_an_appended_zip_is_refused(sessions: StudySessions, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(upload(tmp_path), "../../evil.nii.gz")
    with zipfile.ZipFile(tmp_path / "a.tar", "a") as archive:
        archive.writestr("a.nii.gz", b"")
    assert zipfile.is_zipfile(tmp_path / "a.tar")
    with pytest.raises(RequestError, match=r"a\.tar: is not a zip archive"):
        sessions.add_session(str(tmp_path / "a.tar"), uncompress=True)


def test_archives_that_could_extract_to_any_path_are_refused(sessions: StudySessions, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(upload(tmp_path), "../../evil.nii.gz")
    with pytest.raises(RequestError, match=r"a\.tar: is not a zip archive"):
        sessions.add_session(str(tmp_path / "a.tar"), uncompress=True)
    packed = shutil.make_archive(str(tmp_path / "a"), "zip", Path(upload(tmp_path)).parent, "a.nii.gz")
    _, info = sessions.add_session(packed, uncompress=True)
    assert (Path(info.image) / "a.nii.gz").read_bytes() == b"x"
