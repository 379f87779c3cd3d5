"""Which results are distrusted: wrong input on purpose, and the rank correlation of predicted and reached Dice.

    python benchmarks/distrust.py DIR --split test --heads HEADS --other_anatomy CT.nii.gz --other_modality T2.nii.gz

``DIR`` is a dataset of hippocampus crops; ``--datalist`` names the split, whose cases the weights and the estimate must
not have seen. ``HEADS`` is a folder of T1-weighted heads. One run of ``configs/inference.json`` gets the crops, the
heads, and five wrong inputs: a crop from the middle of another part of the body, a head of another modality, the upper
half of a head, a head whose intensities wrap around as in a format with too few bits, and one whose affine turns it
upside down. Printed is, by kind, how many are refused or flagged, and why.

One run of ``configs/evaluate.json`` then gives Spearman's rank correlation of predicted and reached Dice for every
structure and for their mean, with the 95 % interval of a bootstrap over cases.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle import ROOT
from bundle.data import select_cases
from bundle.inference.quality_estimate import rank_correlation

CROP = (40, 56, 40)
RESAMPLES = 2000
MEAN = "mean"


def crop_of(image: Any) -> Any:
    """Return the middle of an image, of the size of a crop."""
    start = [max((have - want) // 2, 0) for have, want in zip(image.shape, CROP, strict=True)]
    part = tuple(slice(first, first + want) for first, want in zip(start, CROP, strict=True))
    return nib.Nifti1Image(np.asarray(image.dataobj)[part].astype(np.float32), image.affine)


def upper_half(image: Any) -> Any:
    """Return the upper half of an image."""
    canonical = nib.as_closest_canonical(image)
    height = canonical.shape[2] // 2
    affine = canonical.affine.copy()
    affine[:3, 3] += affine[:3, 2] * height
    return nib.Nifti1Image(np.asarray(canonical.dataobj)[..., height:].astype(np.float32), affine)


def wrapped(image: Any) -> Any:
    """Return an image whose brighter intensities wrap around, as in a format with one bit too few."""
    values = np.asarray(image.dataobj).astype(np.float32)
    return nib.Nifti1Image(values % (np.percentile(values, 99.5) / 2), image.affine)


def upside_down(image: Any) -> Any:
    """Return an image whose affine exchanges superior and inferior, and left and right."""
    return nib.Nifti1Image(np.asarray(image.dataobj).astype(np.float32), np.diag([-1, 1, -1, 1]) @ image.affine)


def write_inputs(folder: Path, args: argparse.Namespace, crops: Sequence[Path]) -> dict[str, str]:
    """Write all inputs; return the kind of every case."""
    heads = sorted(args.heads.glob("*.nii.gz"))
    spare, used = heads[-1], heads[:-1][: args.heads_count]
    wrong = {
        "other anatomy": crop_of(nib.load(args.other_anatomy)),
        "other modality": nib.load(args.other_modality),
        "cut in half": upper_half(nib.load(spare)),
        "shifted intensities": wrapped(nib.load(spare)),
        "upside down": upside_down(nib.load(spare)),
    }
    kinds = {}
    for kind, files in (("crop", crops), ("head", used)):
        for file in files:
            shutil.copy(file, folder / file.name)
            kinds[file.name.removesuffix(".nii.gz")] = kind
    for kind, image in wrong.items():
        name = kind.replace(" ", "_")
        nib.save(image, folder / f"{name}.nii.gz")
        kinds[name] = kind
    return kinds


def run(workflow: str, *options: str) -> None:
    """Run a workflow; some cases may be refused."""
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", f"configs/{workflow}.json"]
    done = subprocess.run([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 2):
        raise SystemExit(f"{workflow} failed with status {done.returncode}")


def judge(out: Path, kinds: dict[str, str]) -> None:
    """Print how many cases of every kind are refused or flagged, and why."""
    failures = {record["case"]: record for record in json.loads((out / "summary.json").read_text())["failures"]}
    found = defaultdict(list)
    for name, kind in kinds.items():
        record = failures.get(name) or json.loads((out / f"{name}.json").read_text())
        why = record.get("message") or "; ".join(record.get("flags", ()))
        found[kind].append((name, "refused" if name in failures else "flagged" if why else "not flagged", why))
    for kind, entries in found.items():
        print(
            f"{kind}: {len(entries)} cases, {sum(state != 'not flagged' for _, state, _ in entries)} refused or flagged"
        )
        for name, state, why in entries:
            if len(entries) == 1 or state != "not flagged":
                print(f"    {name}: {state}: {why[:200]}")


def scores(out: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield case, structure, predicted and reached Dice."""
    with open(out / "metrics.csv", newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            predicted = json.loads((out / f"{row['case']}.json").read_text()).get("predicted_dice", {})
            if row["structure"] in predicted:
                yield row["case"], row["structure"], predicted[row["structure"]], float(row["dice"])


def correlate(out: Path) -> None:
    """Print the rank correlation of predicted and reached Dice, with its interval."""
    by_case: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for case, structure, predicted, reached in scores(out):
        by_case[case][structure] = (predicted, reached)
    structures = sorted({name for each in by_case.values() for name in each})
    columns = {name: np.array([each[name] for each in by_case.values()]) for name in structures}
    columns[MEAN] = np.mean([columns[name] for name in structures], axis=0)
    rng = np.random.default_rng(0)
    for name, pairs in columns.items():
        drawn = (pairs[rng.integers(0, len(pairs), len(pairs))].T for _ in range(RESAMPLES))
        low, high = np.percentile([rank_correlation(one, other) for one, other in drawn], (2.5, 97.5))
        error = np.abs(pairs[:, 0] - pairs[:, 1]).mean()
        print(
            f"{name}: {len(pairs)} cases, correlation {rank_correlation(*pairs.T):.2f} [{low:.2f}, {high:.2f}], "
            f"predicted {pairs[:, 0].mean():.3f}, reached {pairs[:, 1].mean():.3f}, mean error {error:.3f}"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("--datalist", type=Path, default=Path(ROOT, "configs/datasets/hippocampus_split.json"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--checkpoint", default=str(Path(ROOT, "models", "model.pt")))
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--heads_count", type=int, default=7)
    parser.add_argument("--other_anatomy", type=Path, required=True)
    parser.add_argument("--other_modality", type=Path, required=True)
    args = parser.parse_args()
    shared = ["--checkpoint", args.checkpoint, "--device", "cpu", "--plan", "fp32", "--overlay", "false"]
    with tempfile.TemporaryDirectory() as folder:
        inputs, out, evaluated = (Path(folder, name) for name in ("inputs", "out", "evaluated"))
        inputs.mkdir()
        crops = [Path(case["image"]) for case in select_cases(args.dataset_dir, args.split, args.datalist)]
        kinds = write_inputs(inputs, args, crops)
        run("inference", "--input", str(inputs), "--output_dir", str(out), *shared)
        judge(out, kinds)
        dataset = ["--dataset_dir", str(args.dataset_dir), "--datalist", str(args.datalist), "--split", args.split]
        run("evaluate", *dataset, "--output_dir", str(evaluated), "--save_labels", "true", *shared)
        correlate(evaluated)


if __name__ == "__main__":
    main()
