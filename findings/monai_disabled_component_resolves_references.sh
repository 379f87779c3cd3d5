#!/usr/bin/env bash
# MONAI 1.6.1: a component of a bundle that is switched off by "_disabled_" still has its references resolved.
#
# ConfigParser resolves everything that the arguments of a component refer to before it looks at "_disabled_". The
# component itself is None then, but a network, a reader of weights or a list of cases that it alone refers to has been
# made, with its time, memory and errors. Switching off a part of a workflow therefore does not make its inputs optional.
#
# Seen with monai 1.6.1, fire 0.7.1 and torch 2.13.0: "made" is printed, and the component is None.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6 monai==1.6.1 fire==0.7.1 pytorch-ignite==0.5.3
cat > "$folder/config.json" <<'JSON'
{
    "input": "$print('made') or 1",
    "part": {"_target_": "builtins.dict", "_disabled_": true, "value": "@input"},
    "run": ["$print('part is', @part)"]
}
JSON
seen=$("$folder/venv/bin/python" -W ignore -m monai.bundle run --config_file "$folder/config.json" 2> /dev/null \
    | grep -E "^(made|part is)" | paste -sd ';')
echo "$seen"
[ "$seen" = "made;part is None" ] || { echo "the behavior has changed"; exit 1; }
