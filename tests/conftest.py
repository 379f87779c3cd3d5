"""Shared settings of the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bundle import ROOT

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the machine's plans of the tests out of the user's cache; commands that tests start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample data beside the checkout, or the one that KEYSLICE_DATA names; skips where there is none."""
    folder = Path(os.environ.get("KEYSLICE_DATA", Path(ROOT).parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the sample data is not at {folder}; set KEYSLICE_DATA to test on it")
    return folder
