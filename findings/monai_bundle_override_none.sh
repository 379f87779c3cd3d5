#!/usr/bin/env bash
# MONAI 1.6.1: an option "None" of monai.bundle run is dropped without a word, and "null" arrives as text.
#
# A config value cannot be set to null by its name on the command line: Fire turns None into Python's None, which
# monai.bundle takes for an option that was not given, so the value of the file stays. null is the text 'null'. An
# expression works.
#
# Seen with monai 1.6.1, fire 0.7.1 and torch 2.13.0, for a file with {"limit": 10}:
#     --limit None     -> 10
#     --limit null     -> 'null'
#     --limit '$None'  -> None
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6 monai==1.6.1 fire==0.7.1 pytorch-ignite==0.5.3
cat > "$folder/config.json" <<'JSON'
{"limit": 10, "run": ["$print('limit is', repr(@limit))"]}
JSON
seen=""
for value in None null '$None'; do
    line=$("$folder/venv/bin/python" -W ignore -m monai.bundle run --config_file "$folder/config.json" --limit "$value" \
        2> /dev/null | grep "^limit is")
    echo "--limit $value: $line"
    seen+="${line#limit is };"
done
[ "$seen" = "10;'null';None;" ] || { echo "the behavior has changed: $seen"; exit 1; }
