"""Digests and small images: what is the same, what nearly so, what is not."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.check.signatures import digest, signature, similar_pairs


def image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_digest_distinguishes_content_shape_and_type() -> None:
    array = np.arange(12, dtype=np.uint8)
    assert digest(array) == digest(array.copy())
    others = [array.reshape(3, 4), array.astype(np.uint16), array[::-1]]
    assert len({digest(array), *map(digest, others)}) == 4


def test_brightness_and_contrast_drop_out() -> None:
    before, after = signature(image(0, 64, 80)), signature(3 * image(0, 64, 80) + 7)
    assert before is not None
    assert after is not None
    assert np.linalg.norm(before) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_an_even_image_has_no_signature() -> None:
    assert signature(np.full((40, 40), 5.0)) is None
    assert signature(np.zeros((20, 20, 20)), np.eye(4)) is None


def test_a_volume_stored_along_other_axes_has_the_same_signature() -> None:
    volume = image(1, 32, 32, 32)
    turned = np.diag([-1.0, 1.0, 1.0, 1.0])[:, [1, 0, 2, 3]]
    stored = volume[::-1].transpose(1, 0, 2)
    np.testing.assert_allclose(signature(stored, turned), signature(volume, np.eye(4)), atol=1e-6)


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_images_are_found(quarters: int, mirrored: bool) -> None:
    first = image(2, 64, 64)
    copy = np.rot90(first[::-1] if mirrored else first, quarters)
    pairs = list(similar_pairs(np.stack([signature(x) for x in (image(3, 64, 64), first, copy)])))
    assert [pair[:2] for pair in pairs] == [(1, 2)]
    assert pairs[0][2] == pytest.approx(1, abs=1e-5)


def test_volumes_are_found_mirrored_from_left_to_right_alone() -> None:
    volume = image(4, 32, 32, 32)
    stack = np.stack([signature(x) for x in (volume, volume[::-1], volume[:, ::-1])])
    assert [pair[:2] for pair in similar_pairs(stack)] == [(0, 1)]


def test_blocks_are_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.check.signatures.BLOCK", 2)
    images = [image(seed, 40, 40) for seed in (0, 1, 2, 3, 0)]
    assert [pair[:2] for pair in similar_pairs(np.stack([signature(x) for x in images]))] == [(0, 4)]
