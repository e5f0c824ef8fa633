#!/usr/bin/env bash
# The JSON Schema and the tables of README.md say what the option table says. Otherwise: make config-reference
set -euo pipefail
source_dir=${srcdir:-.}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$source_dir/config/README.md" "$work/README.md"
chmod u+w "$work/README.md"
bash "$source_dir/config/update_reference.sh" config/make_reference "$work"
diff -u "$source_dir/config/tidegate.schema.json" "$work/tidegate.schema.json"
diff -u "$source_dir/config/README.md" "$work/README.md"
grep -q '^| `limits.packet_bytes` | number | 2097152 | 128 to 268435460 | new connections |' "$work/README.md"
