"""What a comparison writes: every case of every run as CSV, the statistics as JSON, and a page to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.experiments.experiment_tables import (
    join_sections,
    list_missing,
    list_versions,
    markdown_table,
    write_report,
)
from bundle.metrics.bootstrap import format_interval

from .comparison_options import REFERENCE
from .comparison_statistics import MEAN, NOTHING

LEVEL = 0.05
COLUMNS = ("attention", "fold", "seed")


def write_tables(content: Mapping[str, Any], results: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write ``comparison.csv``, ``comparison.json`` and ``comparison.md``.

    Args:
        content: what :func:`bundle.experiments.compare.compare` returns.
        results: results of the runs.
        folder: folder to write to.
    """
    rows = [{**{name: result[name] for name in COLUMNS}, **row} for result in results for row in result["rows"]]
    write_report(folder, "comparison", content=content, page=page(content), rows=rows)


def page(content: Mapping[str, Any]) -> str:
    """Return the page: what was run, the table, what it shows, and what is missing."""
    plan, results = content["plan"], content["results"]
    parts = [
        "# Comparison of attention mechanisms",
        f"```\n{content['command']}\n```",
        _budget(plan),
        _table(results),
        "Mean over the cases [95 % bootstrap interval]. A difference is paired: the same case, fold, seed, initial "
        f"weights and patches, with the mechanism minus without ({REFERENCE}). A gain or a loss is shown where the "
        "interval excludes 0. p is of a test that flips the signs of the differences, corrected for their number by "
        "Holm's method. The intervals are about other cases, not about other trainings; the differences by seed show "
        "how much these matter. Seconds are medians over the runs; those of the CPU depend less on what else ran.",
        _by_structure(results),
        "\n".join(f"- {sentence}" for sentence in sentences(results)),
        list_missing(content),
        f"{list_versions(plan['versions'])} Devices: {'; '.join(content['devices'])}.",
    ]
    return join_sections(parts)


def sentences(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the findings in words, one sentence per mechanism."""
    return [_sentence(name, found) for name, found in results.items() if name != REFERENCE]


def _sentence(name: str, found: Mapping[str, Any]) -> str:
    difference, verdict = found["difference"]["dice"][MEAN], found["shown"][MEAN]
    pairs = found["pairs"]
    if not difference["n"]:
        return f"`{name}`: no run has a counterpart without attention."
    text = f"`{name}`: {verdict} in mean Dice, {format_interval(difference, signed=True)} over {difference['n']} cases"
    text += f", better in {pairs['better']} of {pairs['all']} pairs of trainings"
    if verdict != NOTHING and not found["p_holm"] < LEVEL:
        text += f"; the corrected test does not agree (p = {found['p_holm']:.3f})"
    return text + "."


def _budget(plan: Mapping[str, Any]) -> str:
    least, most = min(plan["training_cases"]), max(plan["training_cases"])
    trained = str(least) if least == most else f"{least} to {most}"
    return (
        f"Data: {plan['dataset']}, {plan['cases']} cases scored, each by networks that were not trained on it. Budget "
        f"of every mechanism: {len(plan['folds'])} folds x {len(plan['seeds'])} seeds, {plan['epochs']} epochs of "
        f"{trained} cases each; the weights of the last epoch are scored."
    )


def _table(results: Mapping[str, Mapping[str, Any]]) -> str:
    head = ["attention", "parameters", "s per epoch (CPU)", "Dice", "HD95, mm"]
    head += ["difference of Dice", "by seed", "p", "shown"]
    rows = [[f"`{name}`", *_measured(found), *_compared(found)] for name, found in results.items()]
    return markdown_table(head, rows)


def _measured(found: Mapping[str, Any]) -> list[str]:
    if not found["runs"]:
        return ["-"] * 4
    value = found["value"]
    return [
        f"{found['parameters']:,}",
        f"{found['seconds_per_epoch']:.1f} ({found['cpu_seconds_per_epoch']:.1f})",
        format_interval(value["dice"][MEAN]),
        format_interval(value["hd95_mm"][MEAN], digits=2),
    ]


def _compared(found: Mapping[str, Any]) -> list[str]:
    if "difference" not in found:
        return ["-"] * 4
    seeds = ", ".join(f"{value:+.4f}" for value in found["by_seed"].values())
    return [
        format_interval(found["difference"]["dice"][MEAN], signed=True),
        seeds,
        f"{found['p_holm']:.4f}",
        found["shown"][MEAN],
    ]


def _by_structure(results: Mapping[str, Mapping[str, Any]]) -> str:
    structures = [name for name in results[REFERENCE]["value"]["dice"] if name != MEAN]
    head = ["attention", *(f"{name}: {what}" for name in structures for what in ("Dice", "difference"))]
    rows = []
    for name, found in results.items():
        row = [f"`{name}`"]
        for structure in structures:
            compared = "difference" in found
            row.append(format_interval(found["value"]["dice"][structure]))
            row.append(format_interval(found["difference"]["dice"][structure], signed=True) if compared else "-")
        rows.append(row)
    return markdown_table(head, rows) if structures else ""
