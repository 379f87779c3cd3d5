"""``python -m bundle pack TASK OUT``: a task as a MONAI bundle of its own, with the code that its configs name."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle import ROOT, __version__
from bundle.utils.atomic_write import atomic_write
from bundle.utils.errors import BundleError

from .model_card import model_card
from .pack_configs import adapt_config, rewrite_paths

MAIN = "volumes"
"""The name of the main task, whose configs lie in ``configs/`` itself."""

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
    task: str, output: str | Path, *, overwrite: bool = False, archive: bool = False, root: str | Path = ROOT
) -> Path:
    """Write a task as a standalone MONAI bundle.

    The same task gives the same bytes. Nothing is written before all that goes into the pack was read and checked.

    Args:
        task: ``"volumes"`` or the name of a folder in ``configs/``.
        output: folder to write to; made when missing.
        overwrite: write to a folder that is not empty; files of other names stay as they are.
        archive: also write ``<output>.zip``, whose one folder has the name of ``output``.
        root: bundle root to pack from.

    Returns:
        The folder.

    Raises:
        PackError: when the task is not there or lacks a file, or the folder cannot be used.
    """
    target, zipped = Path(output), Path(f"{Path(output).resolve()}.zip")
    _check_target(target, Path(root), overwrite=overwrite)
    if archive and zipped.exists() and not overwrite:
        raise PackError(f"{zipped} is there already; pass --overwrite to replace it.")
    files = pack_files(task, root)
    for name, content in files.items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as file:
            file.write_bytes(content)
    if archive:
        _write_archive(files, zipped, target.resolve().name)
    return target


def pack_files(task: str, root: str | Path = ROOT) -> dict[str, bytes]:
    """Return the files of a pack by their paths in it, sorted; see :func:`write_pack`."""
    folder, configs = _task_folder(task, Path(root)), Path(root, "configs")
    within = folder.relative_to(configs).as_posix()
    metadata = json.loads(rewrite_paths((folder / "metadata.json").read_text(encoding="utf-8"), within))
    metadata["pack"] = {"task": task, "version": __version__, "weights": metadata["weights"]["sha256"]}
    texts = {
        file.relative_to(folder).as_posix(): rewrite_paths(file.read_text(encoding="utf-8"), within)
        for file in _config_files(folder)
    }
    page = _page(task, Path(root), within)
    texts |= _dataset_files(configs / "datasets", "".join([*texts.values(), page]), main=within == ".")
    texts |= {name: _dump(adapt_config(name, json.loads(texts[name]))) for name in texts if _is_config(name, texts)}
    texts["metadata.json"] = _dump(metadata)
    files = {f"configs/{name}": text.encode() for name, text in texts.items()}
    files |= _weights(texts, Path(root, "models", within))
    pictures = _pictures(page, Path(root, "docs"))
    files["docs/README.md"] = _readme(metadata, page, pictures).encode()
    files |= {f"docs/{name}": content for name, content in pictures.items()}
    files["LICENSE"] = Path(root, "LICENSE").read_bytes()
    files |= {f"bundle/{name}": content for name, content in _package_files(Path(root, "bundle")).items()}
    return dict(sorted(files.items()))


def root_of(pack: Mapping[str, Any]) -> str:
    """Return the folder of a pack: that of this package or, where that is another one, the working directory.

    Args:
        pack: what ``"pack"`` in the metadata of the pack says.

    Raises:
        PackError: when it is neither.
    """
    for folder in (ROOT, str(Path.cwd())):
        file = Path(folder, "configs", "metadata.json")
        if file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("pack") == pack:
            return folder
    raise PackError(
        f"bundle_root is not set, and the pack of the task {pack['task']!r} is neither where the package 'bundle' was "
        f"found ({ROOT}) nor the working directory; pass --bundle_root with the folder that holds its configs/."
    )


def _check_target(target: Path, root: Path, *, overwrite: bool) -> None:
    place = target.resolve()
    own = [root.resolve(), *(root.resolve() / name for name in OWN_FOLDERS)]
    if place == own[0] or any(place.is_relative_to(folder) for folder in own[1:]):
        raise PackError(f"{target} is part of the project that is packed; name another folder.")
    if target.exists() and not target.is_dir():
        raise PackError(f"{target} is a file; name a folder.")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise PackError(f"{target} is not empty; name another folder, or pass --overwrite to replace files in it.")


def _task_folder(task: str, root: Path) -> Path:
    configs = root / "configs"
    known = {MAIN: configs, **{file.parent.name: file.parent for file in sorted(configs.glob("*/inference.json"))}}
    if task not in known:
        raise PackError(f"there is no task {task!r}; the tasks are {', '.join(known)}.")
    folder = known[task]
    missing = [name for name in (*WORKFLOWS, "metadata.json") if not (folder / name).is_file()]
    if missing:
        raise PackError(f"{folder} lacks {', '.join(missing)}; a bundle needs them.")
    if "pack" in json.loads((folder / "metadata.json").read_text(encoding="utf-8")):
        raise PackError(f"{root} is a pack already; copy the folder.")
    return folder


def _config_files(folder: Path) -> Iterator[Path]:
    """Yield the configs of a task: all files in its folder but those of other tasks and the datasets' splits."""
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder).parts
        if file.is_file() and not (len(place) > 1 and _is_other(folder / place[0])):
            yield file


def _dataset_files(folder: Path, text: str, *, main: bool) -> dict[str, str]:
    """Return the lists in ``configs/datasets`` that a text names and, for the main task, the overlays there."""
    texts = {f"datasets/{file.name}": file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.json"))}
    return {
        name: content
        for name, content in texts.items()
        if f"configs/{name}" in text or (main and not _lists_cases(content))
    }


def _lists_cases(text: str) -> bool:
    return "training" in json.loads(text)


def _is_other(folder: Path) -> bool:
    """Tell whether a folder within that of a task is another task's, or holds the splits of datasets."""
    return folder.name == "datasets" or any((folder / name).is_file() for name in WORKFLOWS)


def _is_config(name: str, texts: Mapping[str, str]) -> bool:
    """Tell whether a file is a workflow or an overlay, whose content may change, and no list of cases."""
    return name.endswith(".json") and name != "metadata.json" and not _lists_cases(texts[name])


def _weights(texts: Mapping[str, str], models: Path) -> dict[str, bytes]:
    """Return the files of ``models/`` that configs name."""
    found = {}
    for name, text in sorted(texts.items()):
        for path in re.findall(r"models/([\w./-]+\.\w+)", text):
            if (models / path).is_file():
                found[f"models/{path}"] = (models / path).read_bytes()
            elif name in WORKFLOWS:
                raise PackError(f"{models / path} is not there, but {name} names it; put the weights there, then pack.")
    return found


def _package_files(package: Path) -> dict[str, bytes]:
    """Return the code by its paths; an installed wheel has its package around the root instead of in it."""
    package = package if package.is_dir() else PACKAGE
    files = {file.relative_to(package): file for file in package.rglob("*") if file.is_file()}
    return {name.as_posix(): file.read_bytes() for name, file in files.items() if not _is_skipped(name)}


def _is_skipped(name: Path) -> bool:
    return name.parts[0] == "_root" or any(part.startswith((".", "__pycache__")) for part in name.parts)


def _page(task: str, root: Path, within: str) -> str:
    file = root / "docs" / f"{task}.md"
    return rewrite_paths(file.read_text(encoding="utf-8"), within) if file.is_file() else ""


def _pictures(page: str, docs: Path) -> dict[str, bytes]:
    names = {target for mark, _, target in LINK.findall(page) if mark and "/" not in target}
    return {name: (docs / name).read_bytes() for name in sorted(names) if (docs / name).is_file()}


def _readme(metadata: Mapping[str, Any], page: str, pictures: Collection[str]) -> str:
    """Return the page of a pack: how to run it, the page of the task without links out of the pack, the model card."""

    def mended(link: re.Match[str]) -> str:
        stays = link[3] in pictures or "://" in link[3] or link[3].startswith("#")
        return link[0] if stays else link[2]

    start = [
        f"# {metadata['name']}",
        "",
        f"{metadata['description']}",
        "",
        "A MONAI bundle, written by `python -m bundle pack " + metadata["pack"]["task"] + "` of Keyslice "
        f"{metadata['pack']['version']}. Its code lies in `bundle/`. Run it from this folder:",
        "",
        "```text",
        "python -m monai.bundle run --config_file configs/inference.json --input FILE_OR_FOLDER --output_dir OUT",
        "```",
        "",
        "or from another one with `--config_file HERE/configs/inference.json --bundle_root HERE`. It needs MONAI",
        "and the packages that `configs/metadata.json` names under `required_packages_version`.",
        "",
    ]
    return "\n".join([*start, LINK.sub(mended, page), "# Model card", "", model_card(dict(metadata))])


def _dump(content: Any) -> str:
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def _write_archive(files: Mapping[str, bytes], path: Path, folder: str) -> None:
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}", EPOCH)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
