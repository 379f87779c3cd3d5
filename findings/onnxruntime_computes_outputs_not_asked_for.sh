#!/usr/bin/env bash
# onnxruntime 1.31.1: a run that asks for one output computes the others as well.
#
# InferenceSession.run takes the names of the outputs that are wanted, and returns only these. The nodes of the others run
# all the same, also with RunOptions.only_execute_path_to_fetches. A graph that offers scores, probabilities and labels of
# a volume thus pays for the softmax and the arg-max in every window of which only the scores are wanted; where this
# matters, what is not always needed belongs into an If node, whose unused branch does not run, or into another file.
#
# Seen with onnxruntime 1.31.1 and onnx 1.20.0 on CPUs; the nodes that the profile of the session names:
#     asked for scores: Conv Softmax   the same with only_execute_path_to_fetches: Conv Softmax
#     with the Softmax in the branch of an If that is not taken: Conv Identity If
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 onnx==1.20.0 onnxruntime==1.31.1
seen=$(cd "$folder" && venv/bin/python - <<'PYTHON'
import json

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT
image = helper.make_tensor_value_info("image", FLOAT, [1, 1, 8, 8, 8])
weights = helper.make_tensor("weights", FLOAT, [3, 1, 1, 1, 1], [1.0, 2.0, 3.0])
outputs = [helper.make_tensor_value_info(name, FLOAT, [1, 3, 8, 8, 8]) for name in ("scores", "probabilities")]
convolution = helper.make_node("Conv", ["image", "weights"], ["scores"])
softmax = helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1)


def write(nodes, inputs, path):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, [weights])
    with open(path, "wb") as file:
        file.write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString())


def branch(node, name):
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(node.output[0], FLOAT, [1, 3, 8, 8, 8])])


def nodes_that_run(path, restricted=False, **more):
    options, run = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
    options.enable_profiling, options.profile_file_prefix = True, path
    run.only_execute_path_to_fetches = restricted
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(["scores"], {"image": np.ones((1, 1, 8, 8, 8), np.float32), **more}, run)
    with open(session.end_profiling()) as file:
        events = json.load(file)
    names = {event["args"]["op_name"] for event in events if event["name"].endswith("_kernel_time")}
    return " ".join(sorted(names))


write([convolution, softmax], [image], "both.onnx")
print("asked for scores:", nodes_that_run("both.onnx"))
print("only_execute_path_to_fetches:", nodes_that_run("both.onnx", restricted=True))
wanted = helper.make_tensor_value_info("wanted", TensorProto.BOOL, [])
then = branch(helper.make_node("Softmax", ["scores"], ["shares"], axis=1), "then")
other = branch(helper.make_node("Identity", ["scores"], ["unchanged"]), "otherwise")
choice = helper.make_node("If", ["wanted"], ["probabilities"], then_branch=then, else_branch=other)
write([convolution, choice], [image, wanted], "if.onnx")
print("If:", nodes_that_run("if.onnx", wanted=np.array(False)))
PYTHON
)
echo "$seen"
expected="asked for scores: Conv Softmax
only_execute_path_to_fetches: Conv Softmax
If: Conv Identity If"
[ "$seen" = "$expected" ] || { echo "the behavior has changed"; exit 1; }
