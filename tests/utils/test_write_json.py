"""JSON files, written atomically."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bundle.utils.write_json import write_json


def test_the_content_comes_back_and_its_folder_is_created(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, "ä"], "b": {"c": True}}
    write_json(tmp_path / "new" / "a.json", content)
    text = (tmp_path / "new" / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text == json.dumps(content, indent=2) + "\n"


def test_what_json_does_not_have_becomes_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [math.inf, (1.0, -math.inf)]}, indent=1)
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [None, [1.0, None]]}


def test_content_that_is_not_json_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", [object()])
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == [1]
