"""Items that are there twice, and what is shared by two parts of a split that must be apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from .findings import Finding, Reading
from .signatures import similar_pairs

SAME = 2.0
"""Stands for the correlation of images that are the same; that of others is at most 1, but for rounding."""

SHOWN = 6
"""Names that a message lists, at most."""


def find_duplicates(readings: Sequence[Reading]) -> list[Finding]:
    """Group items whose images are the same or nearly so.

    A group within one part of the split is a ``"duplicate"`` or ``"near-duplicate"``; one over several, folds included,
    is a ``"leak"``: what is scored there was trained with.
    """
    parent = list(range(len(readings)))
    closeness: dict[int, float] = {}

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for first, second, correlation in [*_same(readings), *_similar(readings)]:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
        closeness[low] = min(correlation, closeness.get(low, SAME), closeness.get(high, SAME))
    groups: dict[int, list[Reading]] = defaultdict(list)
    for index, reading in enumerate(readings):
        groups[root(index)].append(reading)
    return [_finding(group, closeness[low]) for low, group in groups.items() if len(group) > 1]


def find_patient_leaks(readings: Sequence[Reading], known: Iterable[Finding]) -> list[Finding]:
    """Find patients with items in several parts of the split, but those whose items are a leak already."""
    reported = [set(finding.items) for finding in known if finding.kind == "leak"]
    groups: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        if reading.item.patient is not None:
            groups[reading.item.patient].append(reading)
    found = []
    for patient, group in groups.items():
        names = _names(group)
        if len(_parts(group)) > 1 and not any(set(names) <= items for items in reported):
            message = f"{patient} is in {_listed(_parts(group))}: {_listed(names)}; keep a patient in one part."
            found.append(Finding("patient leak", names, message))
    return found


def _same(readings: Sequence[Reading]) -> list[tuple[int, int, float]]:
    """Return pairs of items with the same file or the same content, with :data:`SAME` for the correlation."""
    first: dict[str, int] = {}
    pairs = []
    for index, reading in enumerate(readings):
        if reading.digest is not None:
            before = first.setdefault(reading.digest, index)
            pairs += [(before, index, SAME)] if before != index else []
    return pairs


def _similar(readings: Sequence[Reading]) -> list[tuple[int, int, float]]:
    pairs: list[tuple[int, int, float]] = []
    for axes in (2, 3):
        images = [(index, reading.signature) for index, reading in enumerate(readings)]
        drawn = [(index, image) for index, image in images if image is not None and image.ndim == axes]
        if drawn:
            found = similar_pairs(np.stack([image for _, image in drawn]))
            pairs += [
                (drawn[a][0], drawn[b][0], correlation)
                for a, b, correlation in found
                if readings[drawn[a][0]].digest != readings[drawn[b][0]].digest
            ]
    return pairs


def _finding(group: Sequence[Reading], closeness: float) -> Finding:
    names, parts = _names(group), _parts(group)
    how = "hold the same image" if closeness == SAME else f"hold nearly the same image (correlation {closeness:.2f})"
    if len(parts) > 1:
        return Finding("leak", names, f"{_listed(names)} {how}, in {_listed(parts)}; keep one, in one part.")
    kind = "duplicate" if closeness == SAME else "near-duplicate"
    return Finding(kind, names, f"{_listed(names)} {how}; keep one.")


def _names(group: Sequence[Reading]) -> tuple[str, ...]:
    return tuple(reading.item.name for reading in group)


def _parts(group: Sequence[Reading]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reading.item.split for reading in group))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
