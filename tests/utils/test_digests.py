"""SHA-256 digests of files and of plain values."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bundle.utils.digests import SAMPLE_BYTES, SAMPLES, sha256_of_file, sha256_of_samples, sha256_of_values


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"weights").hexdigest()


def test_the_digest_of_values_depends_on_them_and_not_on_the_order_of_keys() -> None:
    assert sha256_of_values({"a": 1, "b": [2]}) == sha256_of_values({"b": [2], "a": 1})
    assert sha256_of_values({"a": 1}) != sha256_of_values({"a": 2})


def test_the_look_at_a_file_covers_its_size_its_ends_and_parts_between(tmp_path: Path) -> None:
    path, content = tmp_path / "a", bytearray(SAMPLES * SAMPLE_BYTES * 2)
    path.write_bytes(content)
    digest = sha256_of_samples(path)
    assert sha256_of_samples(path) == digest
    for place in (0, 8 * SAMPLE_BYTES + 3, len(content) - 1):
        path.write_bytes(bytes(content[:place]) + b"1" + bytes(content[place + 1 :]))
        assert sha256_of_samples(path) != digest
    path.write_bytes(bytes(content[:-1]))
    assert sha256_of_samples(path) != digest


def test_the_look_at_a_small_file_covers_all_of_it(tmp_path: Path) -> None:
    contents = [b"", b"a", b"ab", bytes(SAMPLE_BYTES * 2 + 1), bytes(SAMPLE_BYTES * 2) + b"1"]
    digests = set()
    for content in contents:
        (tmp_path / "a").write_bytes(content)
        digests.add(sha256_of_samples(tmp_path / "a"))
    assert len(digests) == len(contents)
