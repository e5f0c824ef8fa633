#!/usr/bin/env bash
# tests/conformance.md says of the tests what is so, and every statement of the specification has a test or a reason.
set -euo pipefail
top=${srcdir:-.}
python3 "$top/tests/conformance/generate.py" --check "$top"
