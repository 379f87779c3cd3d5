"""The page in a real browser: it sorts, filters, rates and saves, shows volumes, and makes no request."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.finished_run import write_run

from bundle.cohort.summarize import summarize
from bundle.review import write_report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no browser: apt-get install chromium chromium-driver",
    ),
]

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1400,1000"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium that logs what it requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.downloads = downloads
    yield driver
    driver.quit()


def open_page(browser: Any, page: Path) -> None:
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get(page.resolve().as_uri())
    browser.execute_script("localStorage.clear()")
    browser.get(page.resolve().as_uri())


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until a condition holds, and return its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            assert value, "the browser did not get there"
            return value
        time.sleep(0.1)


def shown_cases(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#cases tbody tr:not([hidden])')].map(r => r.cells[0].textContent)"
    return browser.execute_script(script)


def press(browser: Any, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def requested(browser: Any) -> list[str]:
    """Return the addresses of all requests that are not data of the page itself."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "blob:"))]


def errors(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return write_report(write_run(tmp_path / "out", 6, scored=True))


def test_a_click_on_a_column_sorts_by_its_numbers(browser: Any, page: Path) -> None:
    open_page(browser, page)
    assert shown_cases(browser)[:2] == ["zfailed", "case004"]
    button = browser.find_element(By.CSS_SELECTOR, "[data-number='front volume_mm3']")
    button.click()
    assert shown_cases(browser) == [*(f"case{number:03d}" for number in range(5)), "zfailed"]
    button.send_keys(Keys.ENTER)
    assert shown_cases(browser) == [*(f"case{number:03d}" for number in (4, 3, 2, 1, 0)), "zfailed"]
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    browser.find_element(By.CSS_SELECTOR, "[data-key='case']").click()
    assert shown_cases(browser)[0] == "case000"


def test_search_and_filter_show_a_part_of_the_cases(browser: Any, page: Path) -> None:
    open_page(browser, page)
    search = browser.find_element(By.ID, "search")
    search.send_keys("CASE003")
    assert shown_cases(browser) == ["case003"]
    search.clear()
    search.send_keys("low very")
    assert shown_cases(browser) == ["case004"]
    search.clear()
    search.send_keys(Keys.SPACE)
    for value, expected in (("flagged", ["case004"]), ("suspicious", ["zfailed", "case004"])):
        browser.find_element(By.CSS_SELECTOR, f"#filter [value='{value}']").click()
        assert shown_cases(browser) == expected
    assert browser.find_element(By.ID, "shown").text == "2 of 6 cases"


def test_cases_are_rated_by_keys_and_saved(browser: Any, page: Path) -> None:
    open_page(browser, page)
    press(browser, "j")
    assert browser.find_element(By.ID, "name").text == "zfailed"
    press(browser, "f", "j", "c", "n")
    press(browser, 'border, "left"', Keys.ENTER)
    press(browser, Keys.ARROW_RIGHT, "p", "k")
    assert browser.find_element(By.ID, "name").text == "case004"
    assert browser.find_element(By.ID, "note").get_attribute("value") == 'border, "left"'
    pressed = browser.find_element(By.CSS_SELECTOR, "[aria-pressed='true']")
    assert pressed.text == "Needs correction"
    press(browser, "s")
    saved = wait_for(lambda: list(browser.downloads.glob("qc*.csv")))[0]
    rows = list(csv.DictReader(saved.read_text(encoding="utf-8").splitlines()))
    saved.unlink()
    assert list(rows[0]) == ["case", "input", "rating", "note", "flags", "rated"]
    rated = {row["case"]: (row["rating"], row["note"]) for row in rows if row["rating"]}
    assert rated == {
        "zfailed": ("fail", ""),
        "case004": ("needs correction", 'border, "left"'),
        "case000": ("pass", ""),
    }
    assert len(rows) == 6
    press(browser, Keys.ESCAPE)
    browser.refresh()
    browser.find_element(By.CSS_SELECTOR, "#filter [value='needs correction']").click()
    assert shown_cases(browser) == ["case004"]


def test_ratings_of_two_tabs_are_both_kept(browser: Any, page: Path) -> None:
    open_page(browser, page)
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(page.resolve().as_uri())
    second = browser.current_window_handle
    for handle, keys in ((first, ("j", "f")), (second, ("j", "j", "p"))):
        browser.switch_to.window(handle)
        press(browser, *keys)
    stored = "return Object.values(JSON.parse(localStorage.getItem(storageKey))).map((each) => each.rating).sort()"
    assert browser.execute_script(stored) == ["fail", "pass"]
    browser.close()
    browser.switch_to.window(first)
    shown = "return [...document.querySelectorAll('#cases tbody tr')].map((row) => row.cells[2].textContent)"
    wait_for(lambda: browser.execute_script(shown)[:2] == ["fail", "pass"])


def test_a_rating_is_not_one_of_another_result(browser: Any, page: Path) -> None:
    open_page(browser, page)
    press(browser, "j", "j", "p", "j", "c", Keys.ESCAPE)
    folder = page.parent
    record = json.loads((folder / "case004.json").read_text())
    (folder / "case004.json").write_text(json.dumps({**record, "files": {"case004_seg.nii.gz": "1" * 64}}))
    browser.get(write_report(folder).resolve().as_uri())
    stored = "return Object.fromEntries(Object.entries(ratings).map(([name, each]) => [name, each.rating]))"
    assert browser.execute_script(stored) == {"case000": "needs correction"}


def test_the_details_are_those_of_the_case(browser: Any, page: Path) -> None:
    (page.parent / "case000_overlay.png").unlink()
    for file in (page.parent.parent / "in").iterdir():
        file.unlink()
    open_page(browser, write_report(page.parent))
    press(browser, "j", "j")
    assert browser.find_element(By.ID, "figure").get_attribute("alt") == "Result of case004"
    press(browser, "j")
    figure = browser.find_element(By.ID, "figure")
    assert figure.get_attribute("alt") == ""
    assert not figure.is_displayed()


@pytest.mark.parametrize("largest_page", [50_000_000, 1000])
def test_the_viewer_draws_and_no_request_leaves_the_page(largest_page: int, browser: Any, tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "out", 6), largest_page=largest_page)
    open_page(browser, page)
    press(browser, "j", "j")
    assert browser.find_element(By.ID, "name").text == "case004"
    wait_for(lambda: browser.find_element(By.ID, "view").get_attribute("data-case") == "case004")
    count = """
        viewer.drawScene();
        const gl = viewer.gl, pixels = new Uint8Array(gl.drawingBufferWidth * gl.drawingBufferHeight * 4);
        gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        const colors = new Set();
        for (let i = 0; i < pixels.length; i += 4) colors.add(pixels[i] + 256 * pixels[i + 1] + 65536 * pixels[i + 2]);
        return colors.size;
    """
    assert browser.execute_script(count) > 20
    assert browser.execute_script("return viewer.volumes.length") == 2
    figure = browser.find_element(By.ID, "figure")
    wait_for(lambda: browser.execute_script("return arguments[0].naturalWidth", figure) == 40)
    folder = page.parent.resolve().as_uri()
    assert all(url.startswith((folder, "about:")) for url in requested(browser))
    assert errors(browser) == []


def test_a_failed_case_has_no_viewer(browser: Any, page: Path) -> None:
    open_page(browser, page)
    press(browser, "j")
    assert not browser.find_element(By.ID, "viewer").is_displayed()
    assert "it is bad" in browser.find_element(By.ID, "problems").text


def write_cohort(folder: Path, count: int) -> Path:
    """Write the results of a cohort without their files: JSONs of cases, some flagged, one failed, and the summary."""
    folder.mkdir()
    draw = np.random.default_rng(0).random((count, 2, 5)).round(4)
    for number, values in enumerate(draw.tolist()):
        name = f"case{number:05d}"
        record: dict[str, Any] = {"case": name, "input": f"in/{name}.nii.gz", "provenance": {"settings": "0" * 64}}
        if number == 7:
            record |= {"error": "UnreadableFileError", "message": f"in/{name}.nii.gz: is empty"}
        else:
            measured = ("volume_mm3", "margin", "entropy", "border_margin", "border_share")
            both = zip(("front", "back"), (1, 2), values, strict=True)
            record["labels"] = {
                structure: {"value": value, **dict(zip(measured, found, strict=True))}
                for structure, value, found in both
            }
            record["flags"] = ["front: the volume is unusual"] if number % 100 == 0 else []
        (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    summarize(folder)
    return folder


def test_the_results_of_a_cohort_of_20_000_cases_are_shown(browser: Any, tmp_path: Path) -> None:
    page = write_report(write_cohort(tmp_path / "out", 20_000))
    assert page.stat().st_size < 20_000_000
    browser.get_log("browser")
    open_page(browser, page)
    assert browser.find_element(By.ID, "shown").text == "20000 of 20000 cases"
    assert shown_cases(browser)[:3] == ["case00007", "case00000", "case00100"]
    browser.find_element(By.CSS_SELECTOR, "[data-key='case']").click()
    names = shown_cases(browser)
    assert names == [f"case{number:05d}" for number in range(len(names))]
    assert len(names) < 200  # rows are added when they come into view
    browser.execute_script("const box = document.querySelector('#cases').closest('.scroll'); box.scrollTop = 1e9")
    wait_for(lambda: len(shown_cases(browser)) > len(names))
    browser.find_element(By.ID, "search").send_keys("case19999")
    assert shown_cases(browser) == ["case19999"]
    browser.find_element(By.CSS_SELECTOR, "#cases tbody tr").click()
    assert browser.find_element(By.ID, "name").text == "case19999"
    assert errors(browser) == []
