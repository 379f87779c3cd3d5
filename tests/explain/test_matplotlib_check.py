"""A missing matplotlib is reported before any case is processed."""

from __future__ import annotations

import pytest

from bundle.explain import matplotlib_check
from bundle.explain.matplotlib_check import require_matplotlib


def test_a_missing_matplotlib_is_reported_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_matplotlib("cam")
    monkeypatch.setattr(matplotlib_check, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"cam draws with matplotlib; pip install 'keyslice\[demo\]'"):
        require_matplotlib("cam")
