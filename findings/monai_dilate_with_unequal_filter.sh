#!/usr/bin/env bash
# MONAI 1.6.1: dilate() and erode() with a filter of unequal sizes return a mask of another shape.
#
# monai.transforms.utils_morphological_ops pads the mask with the sizes in the order of the axes, but
# torch.nn.functional.pad takes the last axis first. With one size for all axes that is the same; with a margin in mm on
# anisotropic voxels it is not, and with a small difference of the sizes the mask is moved to another grid without an
# error.
#
# Seen with monai 1.6.1 and torch 2.13.0:
#     filter [5, 5, 5]: mask 21 x 21 x 21 -> 21 x 21 x 21
#     filter [9, 5, 3]: mask 21 x 21 x 21 -> 15 x 21 x 27
# A way around: torch.nn.functional.max_pool3d(mask, size, stride=1, padding=[n // 2 for n in size]).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6 monai==1.6.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from monai.transforms.utils_morphological_ops import dilate

mask = torch.zeros(1, 1, 21, 21, 21)
mask[..., 10, 10, 10] = 1
shapes = {}
for size in ([5, 5, 5], [9, 5, 3]):
    shapes[str(size)] = list(dilate(mask, size).shape[2:])
    print(f"filter {size}: mask 21 x 21 x 21 -> {' x '.join(map(str, shapes[str(size)]))}")
assert shapes == {"[5, 5, 5]": [21, 21, 21], "[9, 5, 3]": [15, 21, 27]}, "the behavior has changed"
PYTHON
