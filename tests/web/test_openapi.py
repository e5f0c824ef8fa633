"""/openapi.json: every route of the table is in it, and every operation in it is there."""

import http.client
import json
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import harness  # noqa: E402

try:
    import openapi_spec_validator
except ImportError:
    openapi_spec_validator = None
try:
    import jsonschema
except ImportError:
    jsonschema = None

METHODS = ("get", "put", "post", "delete", "patch", "options", "head")


def routes_of_source():
    """(method, path) of the lines of the table in web/routes.c."""
    with open(os.path.join(HERE, "..", "..", "web", "routes.c")) as file:
        return re.findall(r"^    \{HTTP_([A-Z]+), \"([^\"]+)\",", file.read(), re.M)


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


class OpenApi(harness.Case):
    options = {"http": True}

    def setUp(self):
        self.web = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=harness.DEADLINE)
        self.addCleanup(self.web.close)
        status, self.headers, body = self.ask("GET", "/openapi.json")
        self.assertEqual(status, 200)
        self.document = json.loads(body)

    def ask(self, method, path):
        self.web.request(method, path, None if method in ("GET", "DELETE") else "x")
        response = self.web.getresponse()
        return response.status, response.headers, response.read()

    def operations(self):
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                self.assertIn(method, METHODS)
                yield path, method, operation

    def test_every_route_is_described(self):
        described = {(method.upper(), re.sub(r"/\{\w+\}$", "/*", path)) for path, method, _ in self.operations()}
        table = set(routes_of_source())
        self.assertGreater(len(table), 10)
        self.assertEqual(described, table)

    def test_every_operation_is_there(self):
        for path, method, _ in self.operations():
            if path.startswith("/events") or path.startswith("/rpc"):
                continue  # they wait
            status, _, body = self.ask(method.upper(), re.sub(r"\{\w+\}", "x", path))
            self.assertNotIn(status, (405, 501), (method, path))
            self.assertNotIn(b"there is nothing at this path", body, (method, path))

    def test_references_lead_somewhere(self):
        found = list(references(self.document))
        self.assertTrue(found)
        for reference in found:
            self.assertTrue(reference.startswith("#/"))
            at = self.document
            for step in reference[2:].split("/"):
                at = at[step]

    def test_operations_are_complete(self):
        ids = [operation["operationId"] for _, _, operation in self.operations()]
        self.assertEqual(len(ids), len(set(ids)))
        for path, method, operation in self.operations():
            self.assertTrue(operation["summary"] and operation["tags"], (method, path))
            self.assertTrue(set(operation["responses"]) - {"default"}, (method, path))
            params = [(param["name"], param["in"]) for param in operation.get("parameters", [])]
            self.assertEqual(len(params), len(set(params)), (method, path))
            self.assertEqual([name for name, where in params if where == "path"], re.findall(r"\{(\w+)\}", path))
            for param in operation.get("parameters", []):
                self.assertTrue(param["description"])
                self.assertEqual(param.get("required", False), param["in"] == "path" or param.get("required", False))
            for response in operation["responses"].values():
                self.assertTrue("$ref" in response or response["description"], (method, path))

    @unittest.skipUnless(jsonschema, "needs python3-jsonschema")
    def test_schemas_are_schemas(self):
        count = 0
        for _, _, operation in self.operations():
            for param in operation.get("parameters", []):
                jsonschema.Draft7Validator.check_schema(param["schema"])
                count += 1
        self.assertGreater(count, 10)

    @unittest.skipUnless(openapi_spec_validator, "needs the Python package openapi-spec-validator")
    def test_is_valid_openapi(self):
        validate = getattr(openapi_spec_validator, "validate", None) or openapi_spec_validator.validate_spec
        validate(self.document)


if __name__ == "__main__":
    harness.main()
