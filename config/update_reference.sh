#!/usr/bin/env bash
# update_reference.sh PROGRAM FOLDER: write FOLDER/tidegate.schema.json, and the tables between the two marks in
# FOLDER/README.md, from what PROGRAM (make_reference) says.
set -euo pipefail
program=$1
folder=$2
begin='<!-- keys: begin (written by make config-reference) -->'
end='<!-- keys: end -->'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$program" schema >"$work/schema"
"$program" table >"$work/table"
grep -qxF "$begin" "$folder/README.md"
grep -qxF "$end" "$folder/README.md"
{
    sed "/^$begin\$/q" "$folder/README.md"
    echo
    cat "$work/table"
    echo
    sed -n "/^$end\$/,\$p" "$folder/README.md"
} >"$work/readme"
cat "$work/schema" >"$folder/tidegate.schema.json"
cat "$work/readme" >"$folder/README.md"
