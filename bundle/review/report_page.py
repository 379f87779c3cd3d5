"""The page of a run: one HTML file, or one with a folder next to it where it would be too large."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
from collections.abc import Mapping
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from PIL import Image, UnidentifiedImageError

from bundle.utils.atomic_write import atomic_write
from bundle.utils.errors import FileError
from bundle.utils.parse_bool import parse_bool

from .case_view import view_of
from .run_figures import run_figures
from .run_results import CaseResult, RunResults, read_run

logger = logging.getLogger(__name__)

LARGEST_PAGE = 50_000_000
"""Bytes of a page without a folder."""

THUMBNAIL = 512
"""Longer side in pixels of an image that is shown where there is no figure."""

VIEWER = "niivue.umd.js"
QC_COLUMNS = ("case", "input", "rating", "note", "flags", "rated")
"""Columns of ``qc.csv``, which the page saves."""


def write_report(
    run_dir: str | Path,
    output: str | Path | None = None,
    *,
    volumes: bool | int | str = True,
    largest_page: int = LARGEST_PAGE,
) -> Path:
    """Write the page of a finished run.

    It opens from disk and needs no network. If it would be larger than ``largest_page``, the figures stay in the folder
    of the run, and what the viewer shows is in the folder ``<page>_files`` next to the page.

    Args:
        run_dir: output folder of an inference or an evaluation.
        output: page to write; None for ``report.html`` in the folder.
        volumes: whether volumes can be viewed in three planes; text such as ``"true"`` is understood.
        largest_page: bytes of a page without a folder.

    Returns:
        The page.

    Raises:
        FileError: when the folder has no results, or something else is in the place of the folder of the page.
        ValueError: when ``volumes`` is neither true nor false.
    """
    folder = Path(str(run_dir))
    page = Path(str(output)) if output is not None else folder / "report.html"
    run = read_run(folder)
    views = _views(run) if parse_bool("volumes", volumes) else {}
    figures = {case.name: _data_url(case) for case in run.cases}
    size = sum(len(url or "") for url in figures.values()) + sum(
        sum(map(len, view.values())) for view in views.values()
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    extra = page.with_name(f"{page.stem}_files")
    _remove_folder(extra)
    if size > largest_page:
        figures |= {case.name: _relative(case.figure, page) for case in run.cases if case.figure is not None}
        _write_folder(extra, views)
    content = _render(run, figures, views, extra.name if size > largest_page else None)
    with atomic_write(page) as partial:
        Path(partial).write_text(content, encoding="utf-8")
    logger.info("report of %d cases written to %s (%.1f MB)", len(run.cases), page, len(content) / 1e6)
    return page


def _remove_folder(folder: Path) -> None:
    """Remove the folder of an earlier page.

    Raises:
        FileError: when it is something else.
    """
    if (folder / VIEWER).is_file():
        shutil.rmtree(folder)
    elif folder.exists():
        raise FileError(folder, "has the name of this page, but is something else", "pass another --output")


def _views(run: RunResults) -> dict[str, dict[str, str]]:
    """Return image and label map of every case that has them."""
    views = {}
    for case in run.cases:
        label_file = run.folder / Path(str(case.record.get("output", ""))).name
        if label_file.name.endswith((".nii.gz", ".nii")) and label_file.is_file():
            view = view_of(str(case.record.get("input", "")), label_file)
            if view is not None:
                views[case.name] = view
    return views


def _data_url(case: CaseResult) -> str | None:
    """Return the figure of a case, or its image where there is no figure, as the address of an image."""
    if case.figure is not None:
        kind = "jpeg" if case.figure.suffix == ".jpg" else "png"
        return f"data:image/{kind};base64,{base64.b64encode(case.figure.read_bytes()).decode()}"
    try:
        with Image.open(str(case.record.get("input") or case.record.get("file") or "")) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError):
        return None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = BytesIO()
    small.save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _relative(figure: Path, page: Path) -> str:
    return quote(Path(os.path.relpath(figure, page.parent)).as_posix())


def _write_folder(folder: Path, views: Mapping[str, Mapping[str, str]]) -> None:
    """Write the viewer and what it shows of every case, as scripts, since a page from disk may not read files."""
    folder.mkdir()
    (folder / VIEWER).write_text(_asset(VIEWER), encoding="utf-8")
    (folder / "NIIVUE_LICENSE").write_text(_asset("NIIVUE_LICENSE"), encoding="utf-8")
    for number, view in enumerate(views.values()):
        (folder / f"{number}.js").write_text(f"receiveView({number}, {json.dumps(view)});\n", encoding="utf-8")


def _render(
    run: RunResults, figures: Mapping[str, str | None], views: Mapping[str, Mapping[str, str]], folder: str | None
) -> str:
    numbers = {name: number for number, name in enumerate(views)}
    cases = [
        {
            "case": case.name,
            "input": str(case.record.get("input") or case.record.get("file") or ""),
            "digest": case.digest,
            "state": case.state,
            "problems": case.problems,
            "flags": case.record.get("flags", []),
            "suspicion": round(min(case.suspicion, 1e6), 2),
            "identifiers": case.record.get("identifiers", {}),
            "numbers": case.numbers(),
            "figure": figures[case.name],
            "view": numbers.get(case.name),
            "labels": _label_names(case.record),
        }
        for case in run.cases
    ]
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_asset("page.html.j2"))
    return template.render(
        title=f"{run.folder.resolve().name}: {len(cases)} cases",
        counts={state: sum(case["state"] == state for case in cases) for state in ("failed", "flagged", "ok")},
        statistics=run.statistics,
        figures=run_figures(run),
        columns=list(dict.fromkeys(name for case in cases for name in case["numbers"])),
        data=_script_json(
            {"cases": cases, "folder": folder, "qc_columns": QC_COLUMNS, "run": str(run.folder.resolve())}
        ),
        views=list(views.values()) if folder is None else [],
        viewer=_asset(VIEWER) if folder is None and views else "",
        license=_asset("NIIVUE_LICENSE") if folder is None and views else "",
        style=_asset("page.css"),
        script=_asset("page.js"),
        alone=folder is None,
    )


def _label_names(record: Mapping[str, Any]) -> dict[str, int]:
    return {name: entry["value"] for name, entry in record.get("labels", {}).items() if "value" in entry}


def _script_json(content: Any) -> str:
    """Return JSON that can stand in a script of a page."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("bundle.review").joinpath("assets", name).read_text(encoding="utf-8")
