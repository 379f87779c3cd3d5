"""Reading of the options that all experiments take."""

from __future__ import annotations

import pytest

from bundle.experiments import ExperimentError, parse_files, parse_overrides


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.json", ["a.json"]), ("['a.json','b.json']", ["a.json", "b.json"]), ('["a.json"]', ["a.json"])],
)
def test_config_files_are_named_as_for_monai(text: str, expected: list[str]) -> None:
    assert parse_files(text) == expected


def test_overrides_are_json_or_what_monai_reads() -> None:
    words = ["--a#b", "[8,16]", "--amp=false", "--lr", "1e-3", "--device", "cpu", "--names", "{'a': 1}", "--x", "-1"]
    assert parse_overrides(words) == {
        "a#b": [8, 16],
        "amp": False,
        "lr": 0.001,
        "device": "cpu",
        "names": {"a": 1},
        "x": -1,
    }


@pytest.mark.parametrize(
    ("words", "message"), [(["value"], "'value' is neither an option"), (["--a"], "--a has no value")]
)
def test_a_stray_word_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        parse_overrides(words)
