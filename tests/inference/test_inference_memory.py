"""Labels on the grid of the file under a limit of the address space that whole scores do not fit into."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource
from pathlib import Path
import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from bundle.inference import SlabInferer
from bundle.grid import LabelMapAssembler

torch.set_num_threads(1)

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))

def image(depth):
    affines = {"affine": torch.eye(4), "original_affine": torch.diag(torch.tensor([0.5, 0.5, 1, 1]))}
    return MetaTensor(torch.rand(1, 1, 64, 64, depth), meta={**affines, "spatial_shape": np.array((128, 128, depth))})

def network(windows):
    return torch.cat([windows * value for value in range(25)], 1)

def ours(volume):
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    result = SlabInferer((32, 32, 16), overlap=0, assembler=LabelMapAssembler())(volume, network)
    return {"shape": list(result.shape), "peak": memory("VmHWM") - before}

ours(image(40))
few, many = image(150), image(600)
limit = memory("VmSize") + 100 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = {"few": ours(few), "many": ours(many), "monai": "fits"}
try:
    sliding_window_inference(many, (32, 32, 16), 1, network, overlap=0, mode="gaussian")
except RuntimeError as error:
    found["monai"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits the address space")
def test_labels_of_25_classes_of_600_planes_fit_where_their_scores_do_not() -> None:
    """Scores of 600 planes take 246 MB on the grid of the network and 983 MB on that of the file.

    Scores of one window depth take 7 MB, labels 10 MB. A first call, before the limit, loads libraries.
    """
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command, environment = [sys.executable, "-W", "ignore", "-c", SCRIPT], {**os.environ, **one_thread}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["many"]["shape"] == [1, 1, 128, 128, 600]
    assert max(found[name]["peak"] for name in ("few", "many")) < 70 * 2**20
    assert "allocate memory" in found["monai"]
