#!/usr/bin/env bash
# MONAI 1.6.1: a reference such as "@average" in train#handlers breaks the check of a training workflow.
#
# ConfigWorkflow.check_properties() looks for ValidationHandler in the unresolved list and reads item["_target_"] of
# every entry. A handler that is defined under an id of its own and named in the list, which monai.bundle run resolves
# and runs, is a string there.
#
# Seen with monai 1.6.1, torch 2.13.0, pytorch-ignite 0.5.4:
#     handlers as dictionaries: checked
#     one handler by reference: TypeError: string indices must be integers, not 'str'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6 monai==1.6.1 pytorch-ignite==0.5.4
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
from pathlib import Path

from monai.bundle import ConfigWorkflow
from monai.bundle.properties import MetaProperties, TrainProperties

handler = {"_target_": "StatsHandler"}
validation = {"_target_": "ValidationHandler", "validator": "@validate#evaluator", "interval": "@val_interval"}
base = {"stats": handler, "validate": {"evaluator": None}, "initialize": [], "run": []}
for property in sorted(TrainProperties.values(), key=lambda each: -len(each["id"])):
    item, *names = base, *property["id"].split("::")
    for name in names[:-1]:
        item = item.setdefault(name, {})
    if property["required"]:
        item.setdefault(names[-1], 0)
seen = {}
for name, first in (("handlers as dictionaries", handler), ("one handler by reference", "@stats")):
    base["train"]["handlers"] = [first, validation]
    Path("train.json").write_text(json.dumps(base))
    Path("metadata.json").write_text(json.dumps({each["id"].split("::")[1]: "" for each in MetaProperties.values()}))
    workflow = ConfigWorkflow("train.json", workflow_type="train", meta_file="metadata.json", logging_file=None)
    workflow.initialize()
    try:
        workflow.check_properties()
        seen[name] = "checked"
    except TypeError as error:
        seen[name] = f"TypeError: {error}"
    print(f"{name}: {seen[name]}")
assert seen == {
    "handlers as dictionaries": "checked",
    "one handler by reference": "TypeError: string indices must be integers, not 'str'",
}, "the behavior has changed"
PYTHON
