"""SHA-256 digests of files and of plain values."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bundle.utils.digests import sha256_of_file, sha256_of_values


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"weights").hexdigest()


def test_the_digest_of_values_depends_on_them_and_not_on_the_order_of_keys() -> None:
    assert sha256_of_values({"a": 1, "b": [2]}) == sha256_of_values({"b": [2], "a": 1})
    assert sha256_of_values({"a": 1}) != sha256_of_values({"a": 2})
