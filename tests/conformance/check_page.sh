#!/usr/bin/env bash
# tests/conformance.md tells of the tests as they are.
exec python3 "${srcdir:-.}/tests/conformance/generate.py" --check "${srcdir:-.}"
