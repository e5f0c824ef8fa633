#!/usr/bin/env python3
"""Write tests/conformance.md: which test proves which statement of the specification.

    generate.py TREE          write TREE/tests/conformance.md
    generate.py --check TREE  only compare; exit 1 if it is stale

Tests say themselves what they prove: the statement's number is part of the name, mqtt_3_3_1_5 for [MQTT-3.3.1-5] of 5.0 and
mqtt311_3_3_1_5 for that of 3.1.1. Only tests that drive a broker count. reasons.tsv says why a statement has none;
one that binds the client alone needs neither. An unknown number, a statement without test and reason, or with both, is
an error.
"""

import csv
import pathlib
import re
import sys

FOLDERS = ("conformance", "broker", "net", "web", "e2e")
TEST = re.compile(r"^\s*(?:START_TEST|CONFORMANCE_TEST)\((\w+)\)|^\s*(?:async )?def (test_\w+)", re.MULTILINE)
NUMBER = re.compile(r"mqtt(311)?_(\d+)_(\d+)_(\d+)_(\d+)(?!\d)")


def read_tsv(path):
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def tests_by_statement(tests):
    found = {}
    for folder in FOLDERS:
        for path in sorted((tests / folder).rglob("*")):
            if path.suffix not in (".c", ".py") or not path.is_file():
                continue
            for match in TEST.finditer(path.read_text(encoding="utf-8")):
                name = match[1] or match[2]
                for old, a, b, c, d in NUMBER.findall(name):
                    key = ("3.1.1" if old else "5.0", f"{a}.{b}.{c}-{d}")
                    entries = found.setdefault(key, [])
                    if (path, name) not in entries:
                        entries.append((path, name))
    return found


def table(version, statements, found, reasons, tests, errors):
    lines = [f"## MQTT {version}", "", "| Statement | It says | Tests, or why there is none |", "| --- | --- | --- |"]
    for row in statements:
        if row["version"] != version:
            continue
        key = (version, row["number"])
        entries = found.pop(key, [])
        reason = reasons.pop(key, None)
        if entries and reason:
            errors.append(f"{version} {row['number']}: has tests, and a reason to have none")
        if entries:
            proof = "<br>".join(f"[{name}]({path.relative_to(tests)})" for path, name in entries)
        elif reason:
            proof = f"*{reason}*"
        elif row["binds"] == "client":
            proof = "*binds clients*"
        else:
            errors.append(f"{version} {row['number']}: neither a test nor a reason")
            proof = ""
        paraphrase = row["paraphrase"].replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {row['number']} | {paraphrase} | {proof} |")
    return lines


def generate(tree):
    tests = tree / "tests"
    statements = read_tsv(tests / "conformance" / "statements.tsv")
    rows = read_tsv(tests / "conformance" / "reasons.tsv")
    reasons = {(row["version"], row["number"]): row["reason"] for row in rows}
    found = tests_by_statement(tests)
    errors = []
    lines = [
        "# Conformance",
        "",
        "Every normative statement of MQTT 5.0 and 3.1.1 with the tests that would fail if the broker broke it. This page is made by",
        "`tests/conformance/generate.py` from the names of the tests; `make check` fails if it is stale.",
        "",
    ]
    for version in ("5.0", "3.1.1"):
        lines += table(version, statements, found, reasons, tests, errors) + [""]
    errors += [f"{name}: there is no statement {key[1]} in {key[0]}" for key, names in found.items() for _, name in names]
    errors += [f"reasons.tsv: there is no statement {key[1]} in {key[0]}" for key in reasons]
    return "\n".join(lines), errors


def main():
    check = sys.argv[1:2] == ["--check"]
    tree = pathlib.Path(sys.argv[-1])
    text, errors = generate(tree)
    for error in errors:
        print(error, file=sys.stderr)
    page = tree / "tests" / "conformance.md"
    if check:
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            print("tests/conformance.md is stale: run tests/conformance/generate.py .", file=sys.stderr)
            return 1
    else:
        page.write_text(text, encoding="utf-8")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
