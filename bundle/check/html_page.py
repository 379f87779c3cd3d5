"""The findings of a validation as one HTML page without further files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .console_report import statistics_rows
from .findings import Reading

MAX_CLEAN = 200
"""Images of items without findings, at most."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top; padding: .2em 1em .2em 0; }
.items { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; width: 160px; overflow-wrap: anywhere; }
figcaption { font-size: 12px; } img { background: #000; } .bad { outline: 3px solid #d55e00; }
.fault { color: #b03a00; }
"""


def make_page(content: Mapping[str, Any], readings: Sequence[Reading]) -> str:
    """Return the page: statistics, faults, remarks, and the images, those of items with faults first.

    Args:
        content: what :func:`.tables.content_of` returns.
        readings: the items, with their thumbnails.
    """
    faults: dict[str, list[str]] = defaultdict(list)
    for fault in content["faults"]:
        for name in fault["items"]:
            faults[name].append(fault["kind"])
    bad = [reading for reading in readings if reading.item.name in faults]
    clean = [reading for reading in readings if reading.item.name not in faults]
    left_out = f"<p>{len(clean) - MAX_CLEAN} more without faults.</p>" if len(clean) > MAX_CLEAN else ""
    verdict = f"{len(content['faults'])} faults, {len(content['remarks'])} remarks"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f"<title>Check of {escape(content['dataset'])}</title><style>{STYLE}</style></head><body>",
            f"<h1>Check of {escape(content['dataset'])}</h1>\n<p><b>{verdict}</b></p>",
            _table(statistics_rows(content["statistics"])),
            _section("Faults", [(fault["kind"], fault["message"]) for fault in content["faults"]]),
            _section("Remarks", [("", remark["message"]) for remark in content["remarks"]]),
            _images("Items with faults", bad, faults),
            _images("Items without faults", clean[:MAX_CLEAN], faults),
            left_out,
            "</body></html>\n",
        ]
    )


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return f"<h2>{title}</h2>\n{_table(rows)}" if rows else ""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _images(title: str, readings: Sequence[Reading], faults: Mapping[str, Sequence[str]]) -> str:
    figures = "\n".join(_figure(reading, faults.get(reading.item.name, ())) for reading in readings)
    return f'<h2>{title}</h2>\n<div class="items">\n{figures}\n</div>' if readings else ""


def _figure(reading: Reading, kinds: Sequence[str]) -> str:
    name = escape(reading.item.name)
    mark = ' class="bad"' if kinds else ""
    image = f'<img{mark} src="{reading.thumbnail}" alt="{name}">' if reading.thumbnail else "<p>no image</p>"
    text = f'<br><span class="fault">{escape(", ".join(dict.fromkeys(kinds)))}</span>' if kinds else ""
    return f"<figure>{image}<figcaption>{name}<br>{escape(reading.item.split)}{text}</figcaption></figure>"
