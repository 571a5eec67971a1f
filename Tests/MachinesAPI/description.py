"""Fly's published description of the Machines API (OpenAPI 3.0.1), read from outside of this repository, with its known errors mended,
as a judge of requests and answers."""
import json
import os
import sys

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

BASE = "http://berth.test"
SKIPPED = 75


def load():
    """The document, or the end of the program where it is not there."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("BERTH_FLY_OPENAPI") or os.path.join(here, "../../../shared/schema/fly-machines-openapi.json")
    if not os.path.exists(path):
        print("SKIPPED: Fly's description is not at %s; BERTH_FLY_OPENAPI says where" % path)
        sys.exit(SKIPPED)
    with open(path) as file:
        return json.load(file)


def mended(document):
    """What the document says wrongly, or not at all, of what Fly's own client and documents do."""
    document["servers"] = [{"url": BASE + "/v1"}]
    paths, schemas = document["paths"], document["components"]["schemas"]
    machines = "/apps/{app_name}/machines"
    machine = machines + "/{machine_id}"

    # One operation id twice.
    paths[machine + "/metadata"]["patch"]["operationId"] = "Machines_patch_metadata"

    # Errors of every operation; stable codes are ours beside Fly's two.
    schemas["main.statusCode"] = {"type": "string", "pattern": "^[a-z0-9_]+$"}
    error = {"description": "an error", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}}
    schemas["ErrorResponse"]["required"] = ["error", "status"]
    for operations in paths.values():
        for operation in operations.values():
            for response in operation["responses"].values():
                if response.get("content") == {}:  # nothing is answered, which the judge takes for something
                    del response["content"]
            for status in ("400", "401", "403", "404", "408", "409", "412", "422", "429", "501", "503"):
                operation["responses"][status] = error

    def query(path, method, name, schema):
        operation = paths[path][method]
        operation.setdefault("parameters", [])
        operation["parameters"] = [p for p in operation["parameters"] if p["name"] != name] + [{"name": name, "in": "query", "schema": schema}]

    def answer(path, method, status, schema):
        paths[path][method]["responses"][status] = {"description": "", "content": {"application/json": {"schema": schema}}}

    states = {"type": "string", "enum": ["started", "stopped", "suspended", "destroyed", "failed", "settled"]}
    query(machine + "/wait", "get", "state", {"type": "array", "items": states})
    query(machine, "delete", "kill", {"type": "boolean"})
    query(machine + "/restart", "post", "force_stop", {"type": "boolean"})
    query(machine + "/lease", "post", "ttl", {"type": "integer"})
    query(machine + "/lease", "delete", "force", {"type": "boolean"})
    query("/apps/{app_name}", "delete", "force", {"type": "boolean"})
    # Required only where the lease is not ended by force.
    for parameter in paths[machine + "/lease"]["delete"]["parameters"]:
        if parameter["in"] == "header":
            parameter["required"] = False
    # The lease is in an envelope.
    lease = {
        "type": "object", "required": ["status", "data"],
        "properties": {"status": {"type": "string", "enum": ["success"]}, "data": {"$ref": "#/components/schemas/Lease"}},
    }
    for method, status in (("get", "200"), ("post", "200"), ("post", "201")):
        answer(machine + "/lease", method, status, lease)
    # Fly's client says the time in the query, without a body.
    paths[machine + "/lease"]["post"]["requestBody"]["required"] = False
    # "Null values and empty strings remove keys", says its description.
    schemas["updateMetadataRequest"]["properties"]["metadata"]["additionalProperties"]["nullable"] = True
    schemas["Lease"]["required"] = ["expires_at", "owner", "version"]
    schemas["SignalRequest"]["properties"]["signal"] = {"oneOf": [schemas["SignalRequest"]["properties"]["signal"], {"type": "integer"}]}
    schemas["CreateAppRequest"]["properties"]["app_name"] = {"type": "string"}
    for status in ("200", "201"):
        answer("/apps", "post", status, {"$ref": "#/components/schemas/App"})

    # O requires next to nothing: of our answers more is asked.
    schemas["Machine"]["required"] = ["id", "name", "state", "region", "instance_id", "created_at", "config"]
    schemas["MachineEvent"]["required"] = ["id", "type", "status", "source", "timestamp"]
    schemas["MachineVersion"]["required"] = ["version", "user_config"]
    schemas["ProcessStat"]["required"] = ["pid", "command", "directory", "cpu", "rss", "stime", "rtime"]
    schemas["WaitMachineResponse"]["required"] = ["ok", "state", "version"]
    schemas["flydv1.ExecResponse"]["required"] = ["exit_code", "exit_signal", "stdout", "stderr"]
    schemas["App"]["required"] = ["id", "name", "status", "organization", "machine_count"]
    schemas["ListAppsResponse"]["required"] = ["total_apps", "apps"]
    schemas["Machine"]["properties"]["state"]["enum"] = [
        "created", "starting", "started", "stopping", "stopped", "suspending", "suspended", "replacing", "destroying", "destroyed", "failed",
    ]
    ok = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean", "enum": [True]}}}
    for verb in ("stop", "suspend", "restart", "signal", "cordon", "uncordon"):
        answer(machine + "/" + verb, "post", "200", ok)
    answer(machine, "delete", "200", ok)
    answer(machine + "/lease", "delete", "200", ok)
    answer(machine + "/start", "post", "200", {"type": "object", "required": ["previous_state"]})
    return document


class _Request:
    def __init__(self, request):
        self.host_url = BASE
        self.path = request.url.path
        self.method = request.method.lower()
        self.content_type = request.headers.get("content-type", "")
        self.body = request.content or None
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(list(request.url.params.multi_items())), header=Headers(dict(request.headers)), cookie=ImmutableMultiDict())


class _Response:
    def __init__(self, response):
        self.status_code = response.status_code
        self.headers = Headers(dict(response.headers))
        self.content_type = response.headers.get("content-type", "").split(";")[0]
        self.data = response.content


class Description:
    def __init__(self):
        self.api = OpenAPI.from_dict(mended(load()))

    def complaints(self, response, request_is_valid=True):
        """What the description holds against one exchange."""
        request, found = _Request(response.request), []
        for what, check in (
            ("request", (lambda: self.api.validate_request(request)) if request_is_valid else None),
            ("answer", lambda: self.api.validate_response(request, _Response(response))),
        ):
            try:
                if check:
                    check()
            except Exception as error:  # of many kinds, all of which are complaints
                causes = getattr(error.__cause__, "schema_errors", None) or getattr(error, "schema_errors", None) or [error.__cause__ or error]
                found += ["%s: %s" % (what, getattr(cause, "message", cause)) for cause in causes]
        return found
