"""The command ``keyslice-run``: apply an exported model to a file or to all files of a folder."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bundle import __version__
from bundle.data.case_names import name_cases, name_images
from bundle.data.datalist_file import Case
from bundle.data.pairing import IMAGE_ENDINGS, image_names
from bundle.inference.case_record import EXIT_BAD_CASES, CaseRecord, new_record, summarize
from bundle.inference.plausibility import Plausibility
from bundle.io.identifiers import identifiers_of
from bundle.io.volume_files import NIFTI, volume_names
from bundle.results.class_rows import PREDICTIONS_TABLE
from bundle.results.image_rows import IMAGES
from bundle.results.result_tables import write_table
from bundle.results.volume_rows import VOLUMES as VOLUMES_TABLE
from bundle.utils.errors import BundleError
from bundle.utils.write_json import write_json

from .model_format import CLASSES, DISCS, MASKS, VOLUMES
from .onnx_model import ModelError, OnnxModel

logger = logging.getLogger("keyslice-run")

PACKAGES = ("onnxruntime", "numpy", "nibabel", "pillow")
"""Packages whose versions the JSON has."""

TABLES = (VOLUMES_TABLE, IMAGES, PREDICTIONS_TABLE)
"""Tables with rows per case; that of a run is the one that its results belong to."""

EXIT_BAD_OPTION = 2


class InputError(BundleError):
    """A folder without an image, or an image among the results."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 2 if an option is wrong, or a case was skipped.
    """
    parser = argparse.ArgumentParser(prog="keyslice-run", description="Apply an exported model to images.")
    parser.add_argument("model", metavar="MODEL.onnx", type=Path, help="model that python -m bundle export has written")
    parser.add_argument("input", type=Path, help="an image, or a folder of images")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument("--threads", type=int, help="threads (default: one per core)")
    parser.add_argument("--version", action="version", version=__version__)
    args = parser.parse_args(arguments)
    if args.threads is not None and args.threads < 1:
        parser.error(f"--threads must be at least 1, got {args.threads}.")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        records = run_model(args.model, args.input, args.output, threads=args.threads)
    except BundleError as error:
        logger.error("%s", error)
        return EXIT_BAD_OPTION
    except OSError as error:
        logger.error("%s: %s.", error.filename, error.strerror)
        return EXIT_BAD_OPTION
    return EXIT_BAD_CASES if any(record.status == "failed" for record in records) else 0


def run_model(
    model: str | Path, input_path: str | Path, output_dir: str | Path, *, threads: int | None = None
) -> list[CaseRecord]:
    """Apply an exported model to an image or to all images of a folder, and write ``summary.json`` and a table.

    Args:
        model: ONNX file of ``python -m bundle export``.
        input_path: image, or folder of images.
        output_dir: folder to write to; created if missing.
        threads: threads of ONNX Runtime; None for one per core.

    Raises:
        BundleError: if the model cannot be used, the folder holds no image, or an image lies in the output folder.
        OSError: if the output folder cannot be written to.
    """
    started, output = time.perf_counter(), Path(output_dir)
    opened = OnnxModel(model, threads=threads)
    limits = {name: opened.about["preprocessing"].get(name) for name in ("plausible_distance", "flag_limit")}
    plausibility = Plausibility.of_content(
        opened.about.get("plausibility"), limit=limits["plausible_distance"], flag_limit=limits["flag_limit"]
    )
    process = _task(opened, plausibility)
    cases = list_inputs(Path(input_path), output, is_volume=opened.about["task"] in (VOLUMES, DISCS))
    records = []
    output.mkdir(parents=True, exist_ok=True)
    for case in cases:
        record = new_record(case)
        record.packages, record.plausibility = PACKAGES, plausibility
        record.identifiers = identifiers_of(record.file)
        records.append(record)
        _process(process, record, output)
    summary = output / "summary.json"
    write_json(summary, summarize(records, metrics={}, seconds=time.perf_counter() - started))
    for table in TABLES:
        write_table(table, output, (record.to_json() for record in records))
    failed = sum(record.status == "failed" for record in records)
    logger.info("%d cases completed, %d skipped; summary in %s", len(records) - failed, failed, summary)
    return records


def list_inputs(path: Path, output: Path, *, is_volume: bool) -> list[Case]:
    """Return the cases of an image or of a folder of images; a path that does not exist is a case that fails.

    Args:
        path: image, or folder of images.
        output: folder of the results, which could replace an image in it or become cases of the next run.
        is_volume: whether the images are volumes.

    Raises:
        InputError: if the folder holds no image, or an image lies in the folder of the results.
        DatalistError: if two images would write the same output.
    """
    list_names = volume_names if is_volume else image_names
    files = sorted(path / name for name in list_names(path)) if path.is_dir() else [path]
    if not files:
        endings = ", ".join(NIFTI if is_volume else IMAGE_ENDINGS)
        raise InputError(f"{path}: the folder holds no {endings} file; name an image, or the folder that it is in.")
    _require_outside(files, output)
    cases: list[Case] = [{"image": str(file)} for file in files]
    return name_cases(cases) if is_volume else name_images(cases)


def _require_outside(files: Sequence[Path], output: Path) -> None:
    """Check that no image lies in the folder of the results, nor what an image that is a link names."""
    folder = output.resolve()
    for file in files:
        if folder in (file.parent.resolve(), file.resolve().parent):
            raise InputError(f"{file}: lies in the folder of the results, {output}; name another folder for them.")


def _task(model: OnnxModel, plausibility: Plausibility) -> Callable[[CaseRecord, Path], None]:
    """Return what processes the cases of a model; only what it needs is imported."""
    task = model.about["task"]
    if task == VOLUMES:
        from .segment_volume import VolumeSegmentation

        return VolumeSegmentation(model, plausibility)
    if task in MASKS or task == CLASSES:
        from .color_results import Classification, MaskSegmentation

        color_task = Classification if task == CLASSES else MaskSegmentation
        return color_task(model, plausibility)
    if task == DISCS:
        from .disc_labels import DiscLabeling

        return DiscLabeling(model)
    raise ModelError(model.path, f"is of the task {task}, which is not run here", "use it by ONNX Runtime")


def _process(process: Callable[[CaseRecord, Path], None], record: CaseRecord, output: Path) -> None:
    try:
        process(record, output)
    except Exception as error:
        record.fail(error)
    if record.is_completed or record.findings is not None:
        write_json(output / f"{record.case}.json", record.to_json())
