"""Inference that finds the regions of a volume with one network and segments each with another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import collate_meta_tensor
from monai.inferers import Inferer
from monai.transforms import SpatialCrop
from scipy import ndimage

from bundle.io.input_checks import BadInputError
from bundle.utils.label_names import structures_of

from .case_findings import CaseFindings
from .plausibility import CROP, REGION, Plausibility
from .prepare_crop import SEARCHED
from .region_finder import Region, RegionFinder, region_box
from .result_features import FeatureAssembler
from .window_ensemble import Network

logger = logging.getLogger(__name__)


class NothingFoundError(BadInputError):
    """An image in which no region was found."""


class ImplausibleResultError(BadInputError):
    """An image whose result is not plausible, so that no label map is written."""


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
        label_map: measures the results; None for no features.
        plausibility: judges the features; None for nothing.

    Attributes:
        findings: what is known of the result of the last image.
        on_window: called with the number of steps that are done and that of all; None for nothing.

    Raises:
        ValueError: when ``offsets`` lack a region.
    """

    def __init__(
        self,
        inferer: Callable[..., Any],
        *,
        label_names: Mapping[str, int],
        finder: RegionFinder | None = None,
        preprocessing: Callable[[Mapping[str, Any]], Mapping[Any, Any]] | None = None,
        offsets: Mapping[str, int] | None = None,
        label_map: FeatureAssembler | None = None,
        plausibility: Plausibility | None = None,
    ) -> None:
        super().__init__()
        missing = [name for name in (finder.regions if finder else ()) if name not in (offsets or {})]
        if missing:
            raise ValueError(f"offsets must have a number for every region, but lack {', '.join(missing)}.")
        self.inferer: Any = inferer
        self.label_names = structures_of(label_names)
        self.finder, self.preprocessing, self.offsets = finder, preprocessing, dict(offsets or {})
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
        if self.finder is not None and bool(getattr(inputs, "meta", {}).get(SEARCHED, False)):
            return self._segment_regions(
                self.finder, inputs, lambda image: self.inferer(image, network, *args, **kwargs)
            )
        self.findings = CaseFindings({"": self.label_names})
        labels = self.inferer(inputs, network, *args, **kwargs)
        problem, entry = self._judge(CROP)
        if problem:
            raise ImplausibleResultError(
                _file_of(inputs),
                f"the result is not plausible ({problem})",
                "check that the image shows the structures, its orientation and its voxel size; "
                "plausible_distance sets the limit",
            )
        self.findings.results |= {"plausibility": entry} if entry else {}
        return labels

    def _segment_regions(
        self, finder: RegionFinder, inputs: MetaTensor, infer: Callable[[MetaTensor], torch.Tensor]
    ) -> torch.Tensor:
        image = cast(MetaTensor, inputs[0])
        regions = finder(image)
        found = [region for region in regions if region.found]
        if not found:
            raise NothingFoundError(
                _file_of(image),
                f"neither {' nor '.join(finder.regions)} was found",
                "check that the image shows them and that its orientation is right",
            )
        entries = {region.name: region.to_json() for region in regions}
        findings = self.findings = CaseFindings({}, {"regions": list(entries.values())}, _remarks_on(regions))
        result: Any = None
        problems = []
        for step, region in enumerate(found, start=1):
            labels = infer(self._prepared(self._crop(finder, image, region)))
            problem, entry = self._judge(REGION)
            entries[region.name] |= {**entry, "plausible": problem is None}
            if problem is None:
                values = {name: value + self.offsets[region.name] for name, value in self.label_names.items()}
                findings.label_names[region.name] = values
                result = _merged(result, labels, self.offsets[region.name], self._least_maps())
            else:
                problems.append(f"{region.name}: the result is not plausible and is not labeled ({problem})")
            if self.on_window is not None:
                self.on_window(step, len(found))
        if result is None:
            raise ImplausibleResultError(
                _file_of(image),
                "; ".join(problems),
                "check that the image shows the structures, its orientation and its contrast; "
                "plausible_distance sets the limit",
            )
        findings.remarks += problems
        return result

    def _judge(self, kind: str) -> tuple[str | None, dict[str, Any]]:
        """Return why the last result is not plausible, None if it is, and the entry of the JSON."""
        if self.label_map is None or self.plausibility is None or not self.label_map.enabled:
            return None, {}
        features = self.label_map.features
        distance, limit = self.plausibility.distance(kind, features), self.plausibility.limit
        return self.plausibility.problem(kind, features), {"distance": distance, "limit": limit, "features": features}

    def _least_maps(self) -> list[bool]:
        """Return of every confidence map whether its least value is the surest."""
        assembler = getattr(self.label_map, "assembler", None)
        return [name == "entropy" for name in getattr(assembler, "confidence", ())]

    def _crop(self, finder: RegionFinder, image: MetaTensor, region: Region) -> MetaTensor:
        box = region_box(image, region.center_mm or (), finder.size_mm)
        logger.info("%s: crop of %s voxels", region.name, " x ".join(str(part.stop - part.start) for part in box))
        return cast(MetaTensor, SpatialCrop(roi_slices=list(box))(image))

    def _prepared(self, image: MetaTensor) -> MetaTensor:
        data: Mapping[Any, Any] = {"image": image}
        prepared = self.preprocessing(data) if self.preprocessing else data
        return cast(MetaTensor, collate_meta_tensor([prepared["image"]]))


def _remarks_on(regions: list[Region]) -> list[str]:
    missing = [f"{region.name} was not found" for region in regions if not region.found]
    cut = [f"{region.name} touches the border of the image and may be incomplete" for region in regions if region.cut]
    return missing + cut


def _merged(result: torch.Tensor | None, labels: torch.Tensor, offset: int, least: Sequence[bool]) -> torch.Tensor:
    """Add a region to those before it: its largest connected component to the label map, and its confidence maps.

    Args:
        result: label map and confidence maps ``(1, C, D, H, W)`` of the regions before it.
        labels: those of the region.
        offset: summand of its label values.
        least: of every confidence map, whether the least value counts where regions overlap, or else the greatest.
    """
    values = labels[0, 0].cpu().numpy()
    (box,) = ndimage.find_objects((values > 0).astype(np.uint8))
    components, _ = ndimage.label(values[box] > 0)
    kept = components == np.bincount(components.ravel())[1:].argmax() + 1
    added = torch.as_tensor(np.where(kept, values[box] + offset, 0).astype(values.dtype), device=labels.device)
    labels[0, 0] = 0
    labels[0, 0][box] = added
    if result is None:
        return labels
    part = result[0, 0][box]
    part[part == 0] = added[part == 0]
    for channel, is_least in enumerate(least, start=1):
        choose = torch.minimum if is_least else torch.maximum
        result[0, channel] = choose(result[0, channel], labels[0, channel])
    return result


def _file_of(inputs: Any) -> str:
    file = getattr(inputs, "meta", {}).get("filename_or_obj", "the image")
    return str(file if isinstance(file, str) else file[0])
