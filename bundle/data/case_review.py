"""Ratings of cases in ``qc.csv``, the table that the page of a run saves."""

from __future__ import annotations

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from bundle.io.volume_files import files_of, stem_of
from bundle.utils.path_options import check_path_options

from .case_names import name_cases, name_images
from .datalist_file import SECTIONS, Case, DatalistError
from .pairing import IMAGE_ENDINGS

logger = logging.getLogger(__name__)

PASS, CORRECT, FAIL, UNRATED = "pass", "needs correction", "fail", ""
RATINGS = (PASS, CORRECT, FAIL, UNRATED)
"""Ratings of a case; the last one is that of a case without a rating."""

Kept = Literal["not_failed", "passed"]
KEPT: tuple[Kept, ...] = get_args(Kept)

COLUMNS = ("case", "rating")
"""Columns that a table of ratings must have."""

SHOWN = 3
"""Names in a message."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Rating:
    """The row of a case in ``qc.csv``.

    Attributes:
        case: name of the case.
        input: its image, as the run was given it; empty if the table has none.
        rating: one of :data:`RATINGS`.
        note: note of the reviewer.
        rated: time of the rating, as the page writes it.
    """

    case: str
    input: str = ""
    rating: str = UNRATED
    note: str = ""
    rated: str = ""

    @property
    def time(self) -> float | None:
        """Time of the rating in seconds since 1970; None if it is unknown."""
        try:
            return datetime.fromisoformat(self.rated).timestamp()
        except ValueError:
            return None


class CaseReview:
    """Leave out the cases that a reviewer has rated badly.

    Args:
        qc: table with the columns ``case`` and ``rating``, and optionally ``input`` and ``note``; None to keep all.
        keep: ``"not_failed"`` leaves out the cases rated ``fail``; ``"passed"`` keeps only those rated ``pass``, so
            that cases without a rating are left out, too.

    Attributes:
        left_out: names of the cases that were left out.

    Raises:
        DatalistError: if the table cannot be read, or ``keep`` is unknown.
    """

    def __init__(self, qc: str | Path | None = None, keep: Kept = "not_failed") -> None:
        if keep not in KEPT:
            raise DatalistError(f"qc_keep must be one of {', '.join(KEPT)}, got {keep!r}.")
        check_path_options(qc=qc)
        self.qc, self.keep = qc, keep
        self.ratings = [] if qc is None else read_ratings(qc)
        self.left_out: list[str] = []

    def select(self, cases: Sequence[Case], among: Sequence[Case] | None = None) -> list[Case]:
        """Return the cases without those that are left out, which are logged.

        Args:
            cases: cases with ``"image"`` and, if they have names, ``"case"``.
            among: the cases that the table may name, these among them; None for these alone.

        Raises:
            DatalistError: if a name in the table fits no case or several, or no case is left.
        """
        if self.qc is None:
            return list(cases)
        known = {id(case): case for case in (cases if among is None else among)}
        rated = match_ratings(self.ratings, known, self.qc)
        kept = [case for case in cases if self._is_kept(rated.get(id(case), Rating("")).rating)]
        if cases and not kept:
            raise DatalistError(f"{self.qc}: all cases are left out (qc_keep {self.keep}); pass another --qc_keep.")
        places = set(map(id, kept))
        left_out = [_name(case) for case in cases if id(case) not in places]
        self.left_out += left_out
        logger.info("%s: %d of %d cases are left out%s", self.qc, len(left_out), len(cases), _listed(left_out))
        return kept

    def to_json(self) -> dict[str, Any]:
        """Return what was left out, for the files of a run."""
        return {"qc": str(self.qc), "keep": self.keep, "left_out": self.left_out}

    def _is_kept(self, rating: str) -> bool:
        return rating == PASS if self.keep == "passed" else rating != FAIL


def review_datalist(content: Mapping[str, Any], root: str | Path, review: CaseReview) -> dict[str, Any]:
    """Return the content of a datalist without the cases that are left out, which it names under ``"review"``.

    The other cases keep their folds, and stay in the test set or outside of it.

    Args:
        content: the datalist.
        root: folder that its paths are relative to.
        review: ratings of the cases.

    Raises:
        DatalistError: as :meth:`CaseReview.select`.
    """
    items = [(name, item) for name in SECTIONS for item in content.get(name, [])]
    files = [[str(Path(root, file)) for file in files_of(item["image"])] for _, item in items]
    cases: list[Case] = [{"image": paths if len(paths) > 1 else paths[0]} for paths in files]
    is_image = bool(files) and Path(files[0][0]).suffix.lower() in IMAGE_ENDINGS
    named = name_images(cases) if is_image else name_cases(cases)
    sections = {id(case): item for case, item in zip(named, items, strict=True)}
    kept = [sections[id(case)] for case in review.select(named)]
    chosen = {section: [item for name, item in kept if name == section] for section in SECTIONS if section in content}
    return {**content, "review": review.to_json(), **chosen}


def read_ratings(path: str | Path) -> list[Rating]:
    """Read a table of ratings, with commas or, as some spreadsheets write it, semicolons.

    Raises:
        DatalistError: if it cannot be read, lacks a column, has an unknown rating, or names a case twice.
    """
    try:
        text = Path(str(path)).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatalistError(
            f"{path}: cannot be read ({error}); name the qc.csv that the page of a run saves."
        ) from error
    header = text.partition("\n")[0]
    has_semicolons = header.count(";") > header.count(",")
    try:
        rows = list(csv.DictReader(StringIO(text, newline=""), delimiter=";" if has_semicolons else ","))
    except csv.Error as error:
        raise DatalistError(f"{path}: is no table ({error}); look for a quotation mark without its other.") from error
    missing = [name for name in COLUMNS if name not in (rows[0] if rows else {})]
    if missing:
        raise DatalistError(f"{path}: lacks the column {missing[0]!r} or has no row; name the qc.csv of a page.")
    found = [_read_rating(row, path) for row in rows]
    twice = [name for name, count in Counter(rating.case for rating in found).items() if count > 1]
    if twice:
        raise DatalistError(f"{path}: names the case {twice[0]!r} more than once; keep one of its rows.")
    return found


def match_ratings(ratings: Iterable[Rating], cases: Mapping[Key, Case], source: str | Path) -> dict[Key, Rating]:
    """Return the ratings by the keys of the cases that they are of.

    A row is of the case with the image ``input`` or, where there is none, of the case with its name.

    Args:
        ratings: the ratings.
        cases: the cases by any key.
        source: what errors name.

    Raises:
        DatalistError: if a name fits no case, or several, or two rows rate one case differently.
    """
    by_file: dict[str, list[Key]] = {}
    by_name: dict[str, list[Key]] = {}
    for key, case in cases.items():
        by_file.setdefault(os.path.realpath(files_of(case["image"])[0]), []).append(key)
        for name in _names(case):
            by_name.setdefault(name, []).append(key)
    found: dict[Key, Rating] = {}
    unknown = []
    for rating in ratings:
        image = rating.input.split(", ")[0]
        keys = (by_file.get(os.path.realpath(image), []) if image else []) or by_name.get(rating.case, [])
        if len(keys) > 1:
            raise DatalistError(f"{source}: the name {rating.case!r} fits several cases; rename their images.")
        if keys:
            before = found.setdefault(keys[0], rating)
            if before.rating != rating.rating:
                raise DatalistError(
                    f"{source}: {before.case!r} and {rating.case!r} are one case with the ratings "
                    f"{before.rating or 'none'} and {rating.rating or 'none'}; keep one of the rows."
                )
        else:
            unknown.append(rating.case)
    if unknown:
        raise DatalistError(
            f"{source}: {len(unknown)} of its names fit no case{_listed(unknown)}; pass the table of a run on these "
            "images, or remove the rows."
        )
    return found


def _read_rating(row: Mapping[str | None, Any], path: str | Path) -> Rating:
    values = {name: str(row.get(name) or "").strip() for name in ("case", "input", "rating", "note", "rated")}
    rating = Rating(**{**values, "rating": values["rating"].lower()})
    if rating.rating not in RATINGS:
        raise DatalistError(
            f"{path}: {rating.case} has the rating {rating.rating!r}; a rating is {', '.join(RATINGS[:-1])} or empty."
        )
    return rating


def _name(case: Case) -> str:
    return str(case["case"]) if "case" in case else Path(stem_of(files_of(case["image"])[0])).stem


def _names(case: Case) -> set[str]:
    """Return the names that a case can have in a run: its own, and that of its file without the ending."""
    file = files_of(case["image"])[0]
    return {_name(case), stem_of(file), Path(file).stem}


def _listed(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f", such as {', '.join(names[:SHOWN])}" if len(names) > SHOWN else f": {', '.join(names)}"
