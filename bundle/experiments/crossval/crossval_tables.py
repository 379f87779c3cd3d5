"""What a cross-validation writes: every case as CSV, the statistics as JSON, and a page to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

from .fold_scores import Scores


def write_tables(
    content: Mapping[str, Any], results: Sequence[Mapping[str, Any]], ensemble: Scores | None, folder: Path
) -> None:
    """Write ``crossval.csv``, ``crossval.json`` and ``crossval.md``.

    Args:
        content: what :func:`bundle.experiments.crossval.crossval` returns.
        results: results of the folds.
        ensemble: scores of the ensemble on the test cases.
        folder: folder to write to.
    """
    rows = list(_rows(results, ensemble))
    write_report(folder, "crossval", content=content, page=page(content), rows=rows)


def page(content: Mapping[str, Any]) -> str:
    """Return the page: what was run, the tables, and what is missing."""
    plan = content["plan"]
    parts = [
        "# Cross-validation",
        f"```\n{content['command']}\n```",
        f"Data: {plan['dataset']}, {plan['cases']} cases in {len(content['folds']) + len(content['failed'])} folds. "
        f"Every case is scored by the network that was not trained on its fold, after the last of {plan['epochs']} "
        "epochs. Means over the cases [95 % interval]. The intervals are about other cases, not about other trainings.",
        _statistics(content["out_of_fold"]),
        _folds(content["folds"]),
        _test(content),
        list_missing(content),
        list_versions(plan["versions"]),
    ]
    return join_sections(parts)


def _rows(results: Sequence[Mapping[str, Any]], ensemble: Scores | None) -> Iterator[dict[str, Any]]:
    for result in results:
        for name, split in (("scores", "out of fold"), ("test", "test")):
            for row in result.get(name, {"rows": []})["rows"]:
                yield {"model": f"fold{result['fold']}", "split": split, **row}
    for row in ensemble["rows"] if ensemble else ():
        yield {"model": "ensemble", "split": "test", **row}


def _statistics(summary: Mapping[str, Any]) -> str:
    rows = [
        [structure, metric, format_interval(values), str(values["n"])]
        for structure, metrics in summary.items()
        for metric, values in metrics.items()
    ]
    return markdown_table(["structure", "metric", "out of fold", "cases"], rows)


def _folds(folds: Mapping[str, Any]) -> str:
    rows = [[name, str(fold["cases"]), f"{fold['mean']:.4f}"] for name, fold in folds.items()]
    metric = next((fold["metric"] for fold in folds.values()), "")
    return markdown_table(["fold", "cases", f"mean {metric}"], rows)


def _test(content: Mapping[str, Any]) -> str:
    test = content["test"]
    if test is None:
        why = "not all folds are completed" if content["failed"] else "no case lies outside the training of all folds"
        return f"The ensemble was not scored: {why}."
    metric = test["metric"]
    rows = [
        [name, f"{mean:.4f}", *(_cell(summary, metric) for summary in _own(test, name).values())]
        for name, mean in test["mean"].items()
    ]
    head = ["network", f"mean {metric}", *test["ensemble"]]
    differences = "; ".join(f"{name} {_cell(found, metric, signed=True)}" for name, found in test["difference"].items())
    return (
        f"On the {content['plan']['test_cases']} test cases, which no network was trained on:\n\n"
        f"{markdown_table(head, rows)}\n\n"
        f"Ensemble minus the best single network on these cases (fold {test['best']}), {metric}, paired: {differences}."
    )


def _own(test: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = test["ensemble"] if name == "ensemble" else test["single"][name]
    return found


def _cell(summary: Mapping[str, Any], metric: str, *, signed: bool = False) -> str:
    return format_interval(summary[metric], signed=signed) if metric in summary else "-"
