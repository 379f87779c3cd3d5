#!/usr/bin/env bash
# scikit-image 0.26.0: h_maxima keeps two peaks of the same height, however shallow the saddle between them is.
#
# An h-maximum is a regional maximum of the reconstruction of (image - h) below the image: of two peaks whose saddle is
# less than h lower than both, one maximum is left, which covers both and the saddle. h_maxima returns the pixels that
# are h above the reconstruction, which are both peaks where they have exactly the same height. Distance transforms of
# symmetric or discrete shapes often have such peaks, and a watershed from these markers cuts the shape in two. With one
# peak a little lower, h_maxima returns one maximum. local_maxima(reconstruction(image - h, image)) is right in both.
#
# Seen with scikit-image 0.26.0, numpy 2.2.6 and scipy 1.17.1, for the row 0 5 4 p 0 with h = 2:
#     p = 5.0: h_maxima 2 regions, regional maxima of the reconstruction 1
#     p = 4.9: h_maxima 1 region, regional maxima of the reconstruction 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 scipy==1.17.1 scikit-image==0.26.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from scipy.ndimage import label
from skimage.morphology import h_maxima, local_maxima, reconstruction

for peak in (5.0, 4.9):
    image = np.array([[0.0] * 5, [0.0, 5.0, 4.0, peak, 0.0], [0.0] * 5])
    found = label(h_maxima(image, 2.0))[1]
    regional = label(local_maxima(reconstruction(image - 2.0, image)))[1]
    print(f"p = {peak}: h_maxima {found}, regional maxima of the reconstruction {regional}")
PYTHON
)
echo "$seen"
expected="p = 5.0: h_maxima 2, regional maxima of the reconstruction 1
p = 4.9: h_maxima 1, regional maxima of the reconstruction 1"
[ "$seen" = "$expected" ] || { echo "the behavior has changed"; exit 1; }
