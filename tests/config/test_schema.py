#!/usr/bin/env python3
"""tidegate.schema.json is a valid schema, the files in the documentation follow it, and it judges as the gateway does.

Skipped without the jsonschema package (Debian: python3-jsonschema).
"""
import json
import os
import pathlib
import re
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("no jsonschema package")
    sys.exit(77)

SOURCE = pathlib.Path(os.environ.get("srcdir", ".")) / "config"
SCHEMA = json.loads((SOURCE / "tidegate.schema.json").read_text())
EXAMPLE = json.loads((SOURCE / "tidegate.example.json").read_text())
README = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", (SOURCE / "README.md").read_text(), re.M | re.S)]
LOCAL = {"bind": "127.0.0.1:0"}

failures = []


def check(claim, holds):
    if not holds:
        failures.append(claim)


def with_value(path, value):
    """A configuration with VALUE at PATH, and otherwise as little as possible."""
    if path.startswith("listeners[]."):
        key = path.removeprefix("listeners[].")
        base = {} if key in ("bind", "unix") else {"unix": "/tmp/x"} if key == "unix_mode" else dict(LOCAL)
        return {"listeners": [base | {key: value}]}
    *sections, key = path.split(".")
    return {sections[0]: {key: value}} if sections else {key: value}


def leaves(schema, prefix=""):
    """Each key of the schema with its own schema."""
    for key, inner in schema.get("properties", {}).items():
        path = prefix + key
        if inner.get("type") == "array" and inner["items"].get("type") == "object":
            yield from leaves(inner["items"], path + "[].")
        elif "object" in inner.get("type", ""):
            yield from leaves(inner, path + ".")
        else:
            yield path, inner


def numbers(schema):
    for part in [schema, *schema.get("anyOf", [])]:
        for bound in ("minimum", "maximum"):
            if bound in part:
                yield from (part[bound] - 1, part[bound], part[bound] + 1)


STRAY = [None, True, False, 0, 1, -1, 1.5, 10**15, "", "x", "0660", "/", "/x", [], ["x"], ["::1"], {}, {"x": 1}]
BINDS = ["127.0.0.1:1", "[::1]:0", "127.0.0.1", "::1:1", "localhost:1", "127.0.0.1:01", "[::1]", "127.0.0.1:-1"]
PREFIXES = ["a/", "a/+", "#", "$SYS/", "a" * 255, "a" * 256]
DOCUMENTS = [
    {}, [], None, EXAMPLE, *README, {"unknown": 1}, {"limits": {"unknown": 1}}, {"listeners": []},
    {"listeners": [LOCAL] * 64}, {"listeners": [LOCAL] * 65}, {"listeners": [{}]},
    {"listeners": [{"bind": "127.0.0.1:0", "unix": "/tmp/x"}]}, {"listeners": [{"unix": "/tmp/x"}]},
    {"listeners": [LOCAL | {"unix_mode": "0600"}]}, {"listeners": [LOCAL | {"proxy_protocol": True}]},
    {"listeners": [LOCAL | {"proxy_protocol": False}]}, {"listeners": [LOCAL | {"proxy_trusted": ["::1"]}]},
    {"listeners": [LOCAL | {"proxy_protocol": True, "proxy_trusted": ["::1"]}]},
    {"listeners": [LOCAL | {"proxy_protocol": True, "proxy_trusted": []}]},
    {"listeners": [{"unix": "/tmp/x", "proxy_protocol": True}]},
    {"listeners": [{"unix": "/tmp/x", "proxy_protocol": True, "proxy_trusted": ["::1"]}]},
    {"listeners": [LOCAL | {"tls": {}}]}, {"listeners": [LOCAL | {"protocol": "mqtts"}]},
    {"store": None}, {"store": {}}, {"store": {"path": "/x"}},
    {"store": {"path": "x"}}, {"store": {"interval_ms": 100}}, {"store": {"sync": "always", "interval_ms": 100}},
    {"store": {"sync": "interval", "interval_ms": 100}}, {"store": {"sync": "interval"}}, {"store": {"size_limit_bytes": 1}}, {"user": None}, {"http": {}}, {"webhooks": []},
]
# What a schema can't tell: whether an account exists, and what a path names.
BEYOND = {"user", "listeners[].unix"}


def documents():
    yield from DOCUMENTS
    for path, schema in leaves(SCHEMA):
        values = STRAY + list(numbers(schema)) + schema.get("enum", [])
        if path == "listeners[].bind":
            values += BINDS
        if path == "http.hosts":
            values += [["a.example", "*"], ["a:1"], ["-a"], ["a."], [""], ["a"] * 65]
        if path == "http.origins":
            values += [["https://a.example"], ["http://a:8080"], ["https://a/"], ["a"], ["HTTPS://a"], [""], ["https://"],
                       ["https://[::1]:8443"], ["https://a:443"], ["http://a:80"], ["http://a:123456"], ["https://a:"]]
        if path == "response_information":
            values += PREFIXES
        for value in values:
            if path not in BEYOND or not isinstance(value, str):
                yield with_value(path, value)


jsonschema.Draft202012Validator.check_schema(SCHEMA)
validator = jsonschema.Draft202012Validator(SCHEMA)
tried = list(documents())
lines = "".join(json.dumps(document) + "\n" for document in tried)
answers = subprocess.run(["tests/config/accepts"], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()

check("the gateway answers once per document", len(answers) == len(tried))
for document, answer in zip(tried, answers):
    says = validator.is_valid(document)
    check(f"schema ({says}) and gateway ({answer}) agree on {json.dumps(document)[:200]}", says == (answer == "yes "))
check("the example is accepted", validator.is_valid(EXAMPLE))
check("the documentation has an example", len(README) > 0 and all(validator.is_valid(text) for text in README))
check("the example names its schema", EXAMPLE["$schema"] == "tidegate.schema.json")
for path, schema in leaves(SCHEMA):
    check(f"{path} is described", schema.get("description"))
    if "default" in schema:
        check(f"the default of {path} is valid", jsonschema.Draft202012Validator(schema).is_valid(schema["default"]))

accepted = sum(answer == "yes " for answer in answers)
check("many documents are accepted and many refused", accepted > 100 and len(tried) - accepted > 100)
print(f"{len(tried)} documents, {accepted} accepted, {len(failures)} failures")
for failure in failures:
    print("does not hold:", failure)
sys.exit(1 if failures else 0)
