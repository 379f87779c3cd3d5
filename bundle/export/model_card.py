"""Model cards, generated from the metadata of the tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bundle import ROOT


def write_model_card(root: str | Path = ROOT) -> Path:
    """Write ``models/README.md`` from ``configs/metadata.json`` and the metadata of the further tasks.

    Args:
        root: bundle root.

    Returns:
        The file written.
    """
    configs = Path(root, "configs")
    files = [configs / "metadata.json", *sorted(configs.glob("*/metadata.json"))]
    cards = [model_card(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    target = Path(root, "models", "README.md")
    head = "# Models\n\nWritten by `python -m bundle card` from the metadata in `configs/`; do not edit by hand.\n\n"
    target.write_text(head + "\n".join(cards), encoding="utf-8")
    return target


def model_card(metadata: dict[str, Any]) -> str:
    """Return the card of one model as Markdown."""
    weights = metadata["weights"]
    lines = [
        f"## {metadata['name']}",
        "",
        metadata["description"],
        "",
        f"- Task: {metadata['task']}",
        f"- Weights: `{weights['path']}`, {weights['parameters']:,} parameters, sha256 `{weights['sha256']}`",
        f"- Training: {weights['training']}",
        f"- Data: {metadata['data_source']}",
        f"- Input: {metadata['image_classes']}",
        f"- Output: {metadata['label_classes']}",
        f"- Intended use: {metadata['intended_use']}",
        "- Limitations:",
        *(f"  - {limitation}" for limitation in metadata["limitations"]),
        "",
        *_metrics(metadata["eval_metrics"]),
        *_reliability(metadata),
        "References:",
        "",
        *(f"- {reference}" for reference in metadata["references"]),
        "",
    ]
    return "\n".join(lines)


def _metrics(evaluation: dict[str, Any]) -> list[str]:
    if "structures" not in evaluation:
        return [*(f"- {name} of the validation: {value:.3f}" for name, value in evaluation.items()), ""]
    structures = evaluation["structures"]
    metrics = list(next(iter(structures.values())))
    rows = [
        f"| {name} | " + " | ".join(_interval(values[metric]) for metric in metrics) + " |"
        for name, values in structures.items()
    ]
    return [
        f"{evaluation['cases']}. {evaluation['note']}",
        "",
        f"| {evaluation['rows']} | " + " | ".join(metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
        *rows,
        "",
        f"Reproduce: `{evaluation['command']}`",
        "",
    ]


def _reliability(metadata: dict[str, Any]) -> list[str]:
    """Return the reliability of the estimate of the Dice, if it was measured with these weights."""
    found = metadata.get("reliability", {})
    if found.get("weights") != metadata["weights"]["sha256"]:
        return []
    rows = [
        f"| {name} | {_interval(values['rank_correlation'])} | {values['predicted']:.3f} | {values['reached']:.3f} "
        f"| {values['mean_error']:.3f} |"
        for name, values in found["structures"].items()
    ]
    return [
        f"Dice estimated without a reference (`predicted_dice`): {found['cases']}. {found['note']}",
        "",
        "| structure | rank correlation with the reached Dice | mean predicted | mean reached | mean absolute error |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Reproduce: `{found['command']}`",
        "",
    ]


def _interval(values: dict[str, float]) -> str:
    center = values["mean"] if "mean" in values else values["value"]
    return f"{center:.3f} [{values['low']:.3f}, {values['high']:.3f}]"
