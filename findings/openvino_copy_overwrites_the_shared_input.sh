#!/usr/bin/env bash
# openvino 2026.4.1: an inference that copies its input writes it into the array that the inference before had shared.
#
# With share_inputs=True, the tensor of a request is the memory of the caller's NumPy array. The next inference with
# share_inputs=False on the same request copies its input into that tensor, and so into the earlier array: a volume that
# the caller still holds becomes another one, and nothing is reported. If the new input is larger, the inference fails with
# "Could set new shape", also where the model takes any size.
#
# The two ways are easily mixed: calling a compiled model shares by default, InferRequest.infer copies by default. Use one
# of them throughout, or a request for each; infer_new_request is not affected.
#
# Seen with openvino 2026.4.1 and numpy 2.2.6 on a CPU; the first array is all 1, the second all 2:
#     the first array after a shared and a copied inference: 2   after two shared ones: 1   after two copied ones: 1
#     a compiled model called with its default, then with share_inputs=False: 2   with infer_new_request: 1
#     a larger input, copied after a shared one: RuntimeError   copied after a copied one: no error
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 openvino==2026.4.1
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import openvino
from openvino import opset13 as ops


def compiled(rows):
    image = ops.parameter([rows, 4], np.float32)
    return openvino.Core().compile_model(openvino.Model([ops.relu(image)], [image]), "CPU")


def filled(value, rows=1):
    return np.full((rows, 4), value, np.float32)


def first_after(first, second):
    one = filled(1)
    first(one)
    second(filled(2))
    return int(one.max())


def request(share):
    return lambda image: infer_request.infer({0: image}, share_inputs=share)


network = compiled(1)
for before, after in ((True, False), (True, True), (False, False)):
    infer_request = network.create_infer_request()
    print(f"shared {before}, then {after}:", first_after(request(before), request(after)))
print("called, then copied:", first_after(network, lambda image: network(image, share_inputs=False)))
print("called, then infer_new_request:", first_after(network, network.infer_new_request))
for before in (True, False):
    infer_request = compiled(-1).create_infer_request()
    request(before)(filled(1))
    try:
        request(False)(filled(2, rows=2))
        print(f"larger after shared {before}: no error")
    except RuntimeError:
        print(f"larger after shared {before}: RuntimeError")
PYTHON
)
echo "$seen"
expected="shared True, then False: 2
shared True, then True: 1
shared False, then False: 1
called, then copied: 2
called, then infer_new_request: 1
larger after shared True: RuntimeError
larger after shared False: no error"
[ "$seen" = "$expected" ] || { echo "the behavior has changed"; exit 1; }
