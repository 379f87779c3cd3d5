"""Inference that finds the regions of a volume with one network and segments each with another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import collate_meta_tensor
from monai.inferers import Inferer
from monai.transforms import SpatialCrop

from bundle.grid.corner_rule import label_dtype
from bundle.utils.label_names import structures_of
from bundle.utils.parse_null import parse_null

from .case_findings import CaseFindings
from .found_regions import Region, not_labeled, nothing_found, nothing_plausible, raised_labels, remarks_on
from .plausibility import CROP, NOTHING_LABELED, REGION, Plausibility
from .prepare_crop import SEARCHED
from .region_finder import RegionFinder, region_box
from .result_errors import implausible_crop
from .result_features import FeatureAssembler
from .slab import Assembler
from .window_ensemble import Network
from .windows import windowed_inferer

logger = logging.getLogger(__name__)


class RegionInferer(Inferer):
    """Find the regions of a volume on a coarse grid, and segment each on the fine grid of a second network.

    An image that :class:`bundle.inference.PrepareCropd` has marked comes as it was read, in its own voxels. Each region
    is cropped, and only the crop is resampled; the assembler of the wrapped inferer restores the grid of the file. So
    the fine grid never holds a complete volume. Of every region the largest connected component is kept. Any other
    image is passed to the wrapped inferer.

    A result that is not plausible is removed, with a remark; if there is no other, it is an error.

    Args:
        inferer: inferer of a region, with ``label_map`` as its assembler.
        label_names: value of every structure by its name.
        finder: finds the regions; None for no search.
        preprocessing: dictionary transform of the ``"image"`` ``(C, D, H, W)`` of a region, to the voxels and
            intensities of the network; needed with a finder.
        offsets: summand of the label values of every region by its name, so that the values of no two regions are the
            same; the values of an image that is a crop have none.
        label_map: assembler of the inferer; a :class:`FeatureAssembler` measures the results. None for no features.
        plausibility: judges the features; None for nothing.

    Attributes:
        findings: what is known of the result of the last image.
        on_window: called with the number of windows that are done and that of all, where every region counts as if it
            had as many as the one at hand; None for nothing.

    Raises:
        ValueError: when regions are searched and ``offsets`` lack one, or two structures would have the same value.
    """

    def __init__(
        self,
        inferer: Callable[..., Any],
        *,
        label_names: Mapping[str, int],
        finder: RegionFinder | None = None,
        preprocessing: Callable[[Mapping[str, Any]], Mapping[Any, Any]] | None = None,
        offsets: Mapping[str, int] | None = None,
        label_map: Assembler | None = None,
        plausibility: Plausibility | None = None,
    ) -> None:
        super().__init__()
        self.inferer: Any = inferer
        self.label_names = structures_of(label_names)
        self.finder, self.preprocessing = finder, preprocessing
        regions = finder.regions if finder is not None and finder.enabled else ()
        self.offsets = _checked_offsets(offsets, regions, self.label_names)
        self.label_map, self.plausibility = label_map, plausibility
        self.findings: CaseFindings | None = None
        self.on_window: Callable[[int, int], None] | None = None

    @property
    def description(self) -> str | None:
        """Description of the wrapped inferer."""
        return getattr(self.inferer, "description", None)

    def __call__(self, inputs: Any, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the label map of an image ``(1, C, D, H, W)`` on the grid of its file.

        Raises:
            NothingFoundError: when no region was found.
            ImplausibleResultError: when no result is plausible.
        """
        self.findings = None

        def infer(image: torch.Tensor, part: int = 0, parts: int = 1) -> torch.Tensor:
            self._follow(part, parts)
            return cast(torch.Tensor, self.inferer(image, network, *args, **kwargs))

        if self.finder is not None and bool(getattr(inputs, "meta", {}).get(SEARCHED, False)):
            return self._segment_regions(self.finder, inputs, infer)
        self.findings = CaseFindings({"": self.label_names})
        labels = infer(inputs)
        self.findings.numbers = self._numbers()
        problem, entry = self._judge(CROP)
        self.findings.results |= {"plausibility": entry} if entry else {}
        if problem:
            self.findings.results |= _geometry(inputs)
            raise implausible_crop(_file_of(inputs), problem)
        return labels

    def _segment_regions(
        self, finder: RegionFinder, inputs: MetaTensor, infer: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        image = cast(MetaTensor, inputs[0])
        regions = finder(image)
        found = [region for region in regions if region.found]
        entries = {region.name: region.to_json() for region in regions}
        findings = self.findings = CaseFindings({}, {"regions": list(entries.values())}, remarks_on(regions))
        if not found:
            findings.results |= _geometry(inputs)
            raise nothing_found(_file_of(image), list(finder.regions))
        result: torch.Tensor | None = None
        problems = []
        for part, region in enumerate(found):
            labels = self._segment(finder, image, region, partial(infer, part=part, parts=len(found)))
            problem, entry = self._judge(REGION)
            if problem is None and not bool((labels[0, 0] > 0).any()):
                problem, entry = NOTHING_LABELED, {**entry, "plausible": False}
            entries[region.name] |= entry
            if problem is None:
                offset = self.offsets[region.name]
                findings.label_names[region.name] = {name: value + offset for name, value in self.label_names.items()}
                findings.numbers |= self._numbers(f"{region.name}_")
                result = _merged(result, labels, offset, self._least_maps())
            else:
                problems.append(not_labeled(region, problem))
        if result is None:
            findings.results |= _geometry(inputs)
            raise nothing_plausible(_file_of(image), problems)
        findings.remarks += problems
        return result

    def _segment(
        self, finder: RegionFinder, image: MetaTensor, region: Region, infer: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """Segment a region; once more around its labels if these reach the border of the crop."""
        if isinstance(self.label_map, FeatureAssembler):
            self.label_map.finds_cut = True
        labels = infer(self._prepared(self._crop(finder, image, region, region.center_mm or ())))
        center = self.label_map.cut_center_mm if isinstance(self.label_map, FeatureAssembler) else None
        if center is None:
            return labels
        return infer(self._prepared(self._crop(finder, image, region, center)))

    def _follow(self, part: int, parts: int) -> None:
        """Report the windows of one of several parts of an image."""
        windowed = windowed_inferer(self.inferer)
        if windowed is not None:
            windowed.on_window = partial(self._report, part, parts)

    def _report(self, part: int, parts: int, done: int, total: int) -> None:
        if self.on_window is not None:
            self.on_window(part * total + done, parts * total)

    def _judge(self, kind: str) -> tuple[str | None, dict[str, Any]]:
        """Return why the last result is not plausible, None if it is or is not judged, and the entry of the JSON."""
        if self.plausibility is None or not isinstance(self.label_map, FeatureAssembler) or not self.label_map.enabled:
            return None, {}
        return self.plausibility.judge_entry(kind, self.label_map.features)

    def _numbers(self, prefix: str = "") -> dict[str, dict[str, float]]:
        """Return the confidence of every structure of the last result."""
        numbers = self.label_map.numbers if isinstance(self.label_map, FeatureAssembler) else {}
        return {f"{prefix}{name}": values for name, values in numbers.items()}

    def _least_maps(self) -> list[bool]:
        """Return of every confidence map whether its least value is the surest."""
        assembler = getattr(self.label_map, "assembler", self.label_map)
        return [name == "entropy" for name in getattr(assembler, "confidence", ())]

    def _crop(self, finder: RegionFinder, image: MetaTensor, region: Region, center_mm: Sequence[float]) -> MetaTensor:
        box = region_box(image, center_mm, finder.size_mm)
        logger.info("%s: crop of %s voxels", region.name, " x ".join(str(part.stop - part.start) for part in box))
        return cast(MetaTensor, SpatialCrop(roi_slices=list(box))(image))

    def _prepared(self, image: MetaTensor) -> MetaTensor:
        data: Mapping[Any, Any] = {"image": image}
        prepared = self.preprocessing(data) if self.preprocessing else data
        return cast(MetaTensor, collate_meta_tensor([prepared["image"]]))


def _merged(result: torch.Tensor | None, labels: torch.Tensor, offset: int, least: Sequence[bool]) -> torch.Tensor:
    """Add a region to those before it: its largest connected component to the label map, and its confidence maps.

    Args:
        result: label map and confidence maps ``(1, C, D, H, W)`` of the regions before it; None for the first.
        labels: those of the region, with a labeled voxel; they are overwritten.
        offset: summand of its label values.
        least: of every confidence map, whether the least value counts where regions overlap, or else the greatest.
    """
    box, raised = raised_labels(labels[0, 0].cpu().numpy(), offset)
    labels = labels.to(torch.promote_types(labels.dtype, label_dtype(int(raised.max()) + 1)))
    added = torch.as_tensor(raised, dtype=labels.dtype, device=labels.device)
    labels[0, 0] = 0
    labels[0, 0][box] = added
    if result is None:
        return labels
    result = result.to(torch.promote_types(result.dtype, labels.dtype))
    part = result[0, 0][box]
    part[part == 0] = added[part == 0].to(part.dtype)
    for channel, is_least in enumerate(least, start=1):
        choose = torch.minimum if is_least else torch.maximum
        result[0, channel] = choose(result[0, channel], labels[0, channel])
    return result


def _checked_offsets(
    offsets: Mapping[str, int] | None, regions: Iterable[str], label_names: Mapping[str, int]
) -> dict[str, int]:
    """Return the offsets of the regions; the values of no two regions may be the same."""
    known = parse_null(offsets) or {}
    is_mapping = isinstance(known, Mapping)
    if not is_mapping or not all(isinstance(offset, int) and offset >= 0 for offset in known.values()):
        raise ValueError(f"region_offsets must be integers of 0 or more by the names of regions, got {known!r}.")
    missing = [name for name in regions if name not in known]
    if missing:
        raise ValueError(f"region_offsets must have a number for every region, but lack {', '.join(missing)}.")
    values = [value + known[name] for name in regions for value in label_names.values()]
    if len(set(values)) < len(values):
        raise ValueError(f"region_offsets must give every structure of every region another value, got {known}.")
    return dict(known)


def _geometry(inputs: Any) -> dict[str, Any]:
    """Return size and voxel size of the file of a batch of one image, for the JSON of a refused case."""
    meta = getattr(inputs, "meta", {})
    if "original_affine" not in meta or "spatial_shape" not in meta:
        return {}
    affine = np.asarray(meta["original_affine"], dtype=float).reshape(-1, 4, 4)[0]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shape = np.asarray(meta["spatial_shape"]).reshape(-1, 3)[0]
    return {"shape": shape.tolist(), "spacing_mm": [round(float(size), 6) for size in spacing]}


def _file_of(inputs: Any) -> str:
    file = getattr(inputs, "meta", {}).get("filename_or_obj", "the image")
    return str(file if isinstance(file, str) else file[0])
