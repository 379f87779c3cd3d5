"""The page with images."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from bundle.check.console_report import content_of
from bundle.check.dataset_statistics import summarize
from bundle.check.findings import Finding, Reading
from bundle.check.html_page import make_page
from bundle.check.items import Item


class Tags(HTMLParser):
    """Keep the tags, and that they are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def html(readings: list[Reading], faults: list[Finding], remarks: list[Finding]) -> str:
    return make_page(content_of("<data>", readings, faults, remarks, statistics=summarize(readings)), readings)


def new(name: str, thumbnail: str = "data:image/jpeg;base64,AA==") -> Reading:
    return Reading(Item(name, (name,), None, "training", "images"), thumbnail=thumbnail)


def test_items_with_faults_come_first_and_names_are_escaped() -> None:
    text = html([new("clean"), new("<bad>")], [Finding("spacing", ("<bad>",), "<b>")], [Finding("remark", (), "odd")])
    tags = Tags()
    tags.feed(text)
    images = [attributes for tag, attributes in tags.found if tag == "img"]
    assert [image["alt"] for image in images] == ["<bad>", "clean"]
    assert [image.get("class") for image in images] == ["bad", None]
    assert "<bad>" not in text
    assert "&lt;data&gt;" in text
    assert all(str(image["src"]).startswith("data:") for image in images)
    assert not any({"src", "href"} & set(attributes) for tag, attributes in tags.found if tag != "img")


def test_a_clean_page_has_no_list_of_faults() -> None:
    text = html([new("a")], [], [])
    assert "<h2>Faults" not in text
    assert "0 faults, 0 remarks" in text


def test_an_item_without_image_states_it() -> None:
    assert "no image" in html([new("a", "")], [], [])


def test_the_number_of_clean_images_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.check.html_page.MAX_CLEAN", 2)
    text = html([new(f"n{index}") for index in range(5)], [], [])
    assert text.count("<img") == 2
    assert "3 more without faults" in text
