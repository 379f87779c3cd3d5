"""Write a task as a standalone MONAI bundle, with the code that its configs name."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle import ROOT, __version__
from bundle.inference.int8_network import int8_path
from bundle.inference.plausibility import REGION, Plausibility, plausibility_file
from bundle.utils.atomic_write import atomic_write
from bundle.utils.errors import BundleError
from bundle.workflow.model_folder import ModelFolder

from .model_card import model_card
from .model_pack import model_metadata, with_model
from .pack_configs import adapt_config, rewrite_paths

MAIN = "volumes"
"""The name of the main task, whose configs are in ``configs/`` itself."""

WORKFLOWS = ("train.json", "evaluate.json", "inference.json")
OWN_FOLDERS = ("bundle", "configs", "docs", "models", "tests", "benchmarks", ".git")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the files in an archive, so that the same pack is the same archive."""

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of the package ``bundle``."""


class PackError(BundleError):
    """A task that cannot be packed, or a pack that cannot be used; the message says what to do."""


def write_pack(
    task: str,
    output: str | Path,
    *,
    model: str | Path | None = None,
    overwrite: bool = False,
    archive: bool = False,
    root: str | Path = ROOT,
) -> Path:
    """Write a task as a standalone MONAI bundle.

    The same task gives the same bytes. Nothing is written before all files of the pack were read and checked.

    Args:
        task: ``"volumes"`` or the name of a folder in ``configs/``.
        output: folder to write to; created if missing.
        model: folder that a training has written, whose weights and settings are packed; None for the shipped ones.
        overwrite: write to a folder that is not empty; files of other names are kept.
        archive: also write ``<output>.zip``, with one folder named like ``output``.
        root: bundle root to pack from.

    Returns:
        The folder.

    Raises:
        PackError: if the task is unknown or incomplete, or the folder cannot be used.
        ModelFolderError: if the model folder cannot be used.
    """
    target, zipped = Path(output), Path(f"{Path(output).resolve()}.zip")
    _check_target(target, Path(root), overwrite=overwrite)
    if archive and zipped.exists() and not overwrite:
        raise PackError(f"{zipped} exists; pass --overwrite to replace it.")
    files = pack_files(task, root, None if model is None else ModelFolder.read(model, task=task))
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write_bytes(content)
    if archive:
        _write_archive(files, zipped, target.resolve().name)
    return target


def pack_files(task: str, root: str | Path = ROOT, model: ModelFolder | None = None) -> dict[str, bytes]:
    """Return the files of a pack by their paths in it, sorted; see :func:`write_pack`."""
    folder, configs = _task_folder(task, Path(root)), Path(root, "configs")
    within = folder.relative_to(configs).as_posix()
    metadata = json.loads(rewrite_paths((folder / "metadata.json").read_text(encoding="utf-8"), within))
    metadata = metadata if model is None else model_metadata(metadata, model)
    metadata["pack"] = {"task": task, "version": __version__, "weights": metadata["weights"]["sha256"]}
    texts = {
        file.relative_to(folder).as_posix(): rewrite_paths(file.read_text(encoding="utf-8"), within)
        for file in _config_files(folder)
    }
    page = _page(task, Path(root), within)
    texts |= _dataset_files(configs / "datasets", "".join([*texts.values(), page]), main=within == ".")
    if model is not None:
        workflows = {name: json.loads(text) for name, text in texts.items() if _is_workflow(text)}
        texts |= {name: _dump(with_model(content, model)) for name, content in workflows.items()}
    models = Path(root, "models", within)
    weights = {path.relative_to(models).as_posix(): path for path in models.rglob("*") if path.is_file()}
    weights |= {} if model is None else _model_files(model)
    main_weights = weights.get("model.pt", models / "model.pt")
    finds_regions = "find_regions" in texts["inference.json"] and Plausibility(main_weights).is_known(REGION)
    texts |= {
        name: _dump(adapt_config(name, json.loads(texts[name]), finds_regions=finds_regions))
        for name in texts
        if _is_config(name, texts)
    }
    texts["metadata.json"] = _dump(metadata)
    files = {f"configs/{name}": text.encode() for name, text in texts.items()}
    files |= _weights(texts, weights, models)
    figures = _figures(page, Path(root, "docs"))
    files["docs/README.md"] = _readme(metadata, page, figures).encode()
    files |= {f"docs/{name}": content for name, content in figures.items()}
    files["LICENSE"] = Path(root, "LICENSE").read_bytes()
    files |= {f"bundle/{name}": content for name, content in _package_files(Path(root, "bundle")).items()}
    return dict(sorted(files.items()))


def root_of(pack: Mapping[str, Any]) -> str:
    """Return the folder of a pack: the one of this package or, if that is another pack, the working directory.

    Args:
        pack: value of ``"pack"`` in the metadata of the pack.

    Raises:
        PackError: if neither is this pack.
    """
    for folder in (ROOT, str(Path.cwd())):
        file = Path(folder, "configs", "metadata.json")
        if file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("pack") == pack:
            return folder
    raise PackError(
        f"bundle_root is not set, and the pack of the task {pack['task']!r} is neither where the package 'bundle' was "
        f"found ({ROOT}) nor the working directory; pass --bundle_root with the folder that contains its configs/."
    )


def _check_target(target: Path, root: Path, *, overwrite: bool) -> None:
    place = target.resolve()
    own = [root.resolve(), *(root.resolve() / name for name in OWN_FOLDERS)]
    if place == own[0] or any(place.is_relative_to(folder) for folder in own[1:]):
        raise PackError(f"{target} is part of the packed project; pass another folder.")
    if target.exists() and not target.is_dir():
        raise PackError(f"{target} is a file; pass a folder.")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise PackError(f"{target} is not empty; pass another folder, or pass --overwrite to replace files in it.")


def _task_folder(task: str, root: Path) -> Path:
    configs = root / "configs"
    known = {MAIN: configs, **{file.parent.name: file.parent for file in sorted(configs.glob("*/inference.json"))}}
    if task not in known:
        raise PackError(f"{task!r} is not a task; the tasks are {', '.join(known)}.")
    folder = known[task]
    missing = [name for name in (*WORKFLOWS, "metadata.json") if not (folder / name).is_file()]
    if missing:
        raise PackError(f"{folder} lacks {', '.join(missing)}; add them, a bundle needs them.")
    if "pack" in json.loads((folder / "metadata.json").read_text(encoding="utf-8")):
        raise PackError(f"{root} is a pack already; copy the folder.")
    return folder


def _config_files(folder: Path) -> Iterator[Path]:
    """Yield the configs of a task: all files in its folder except those of other tasks and the splits of datasets."""
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder).parts
        if file.is_file() and not (len(place) > 1 and _is_other(folder / place[0])):
            yield file


def _dataset_files(folder: Path, text: str, *, main: bool) -> dict[str, str]:
    """Return the datalists in ``configs/datasets`` that a text names and, for the main task, the overlays."""
    texts = {f"datasets/{file.name}": file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.json"))}
    return {
        name: content
        for name, content in texts.items()
        if f"configs/{name}" in text or (main and not _lists_cases(content))
    }


def _lists_cases(text: str) -> bool:
    return "training" in json.loads(text)


def _is_other(folder: Path) -> bool:
    """Return whether a folder in that of a task belongs to another task, or contains the splits of datasets."""
    return folder.name == "datasets" or any((folder / name).is_file() for name in WORKFLOWS)


def _is_config(name: str, texts: Mapping[str, str]) -> bool:
    """Return whether a file is a workflow or an overlay, which may be adapted, and not a datalist."""
    return name.endswith(".json") and name != "metadata.json" and not _lists_cases(texts[name])


def _weights(texts: Mapping[str, str], weights: Mapping[str, Path], models: Path) -> dict[str, bytes]:
    """Return the files of ``models/`` that configs name, and those of plausible results and in int8 next to them."""
    found: dict[str, bytes] = {}
    for name, text in sorted(texts.items()):
        for path in re.findall(r"models/([\w./-]+\.\w+)", text):
            if path in weights:
                found[f"models/{path}"] = weights[path].read_bytes()
                for beside in (plausibility_file, int8_path):
                    if beside(weights[path]).is_file():
                        found[f"models/{beside(Path(path)).as_posix()}"] = beside(weights[path]).read_bytes()
            elif name in WORKFLOWS:
                raise PackError(f"{models / path} does not exist, but {name} names it; add the weights.")
    return found


def _model_files(model: ModelFolder) -> dict[str, Path]:
    """Return the files of a model folder by their names in ``models/``."""
    return {name: model.folder / name for name in ("model.pt", *model.files.values())}


def _is_workflow(text: str) -> bool:
    return "bundle.workflow.StartWorkflow" in text


def _package_files(package: Path) -> dict[str, bytes]:
    """Return the code by path; of an installed wheel, whose root is inside the package, that of this package."""
    package = package if package.is_dir() else PACKAGE
    files = {file.relative_to(package): file for file in package.rglob("*") if file.is_file()}
    return {name.as_posix(): file.read_bytes() for name, file in files.items() if not _is_skipped(name)}


def _is_skipped(name: Path) -> bool:
    return name.parts[0] == "_root" or any(part.startswith((".", "__pycache__")) for part in name.parts)


def _page(task: str, root: Path, within: str) -> str:
    file = root / "docs" / f"{task}.md"
    return rewrite_paths(file.read_text(encoding="utf-8"), within) if file.is_file() else ""


def _figures(page: str, docs: Path) -> dict[str, bytes]:
    names = {target for is_image, _, target in LINK.findall(page) if is_image and "/" not in target}
    return {name: (docs / name).read_bytes() for name in sorted(names) if (docs / name).is_file()}


def _readme(metadata: Mapping[str, Any], page: str, figures: Collection[str]) -> str:
    """Return the page of a pack: how to run it, the page of the task without links out of the pack, the model card."""

    def without_outside_link(link: re.Match[str]) -> str:
        is_kept = link[3] in figures or "://" in link[3] or link[3].startswith("#")
        return link[0] if is_kept else link[2]

    start = [
        f"# {metadata['name']}",
        "",
        f"{metadata['description']}",
        "",
        "A MONAI bundle, written by `python -m bundle pack " + metadata["pack"]["task"] + "` of Keyslice "
        f"{metadata['pack']['version']}. Its code is in `bundle/`. Run it from this folder:",
        "",
        "```text",
        "python -m monai.bundle run --config_file configs/inference.json --input FILE_OR_FOLDER --output_dir OUT",
        "```",
        "",
        "or from another folder with `--config_file HERE/configs/inference.json --bundle_root HERE`. It needs MONAI",
        "and the packages that `configs/metadata.json` names under `required_packages_version`.",
        "",
    ]
    return "\n".join([*start, LINK.sub(without_outside_link, page), "# Model card", "", model_card(dict(metadata))])


def _dump(content: Any) -> str:
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def _write_archive(files: Mapping[str, bytes], path: Path, folder: str) -> None:
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}", EPOCH)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
