"""A dry run asks the device for its memory and its precision."""

from __future__ import annotations

import pytest

from bundle.planning import dry_run


def test_a_gpu_is_asked_for_its_memory_and_takes_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: 7)
    assert dry_run._peak_bytes("cuda") == 7
    assert dry_run._prefers_bfloat16(None, "cuda")
