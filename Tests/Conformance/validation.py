"""Every message is held against the SDK's models, and against the revision's JSON schema where its file is there:
MCP_SCHEMA_DIR names the folder of them, which must then have the file."""

import json
import os
import pathlib
import sys

import jsonschema
import mcp_types.jsonrpc as jsonrpc
from mcp_types import methods

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = {
    "initialize": "InitializeResult", "ping": "EmptyResult", "logging/setLevel": "EmptyResult", "completion/complete": "CompleteResult",
    "tools/list": "ListToolsResult", "tools/call": "CallToolResult", "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult", "resources/read": "ReadResourceResult",
    "resources/subscribe": "EmptyResult", "resources/unsubscribe": "EmptyResult", "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult", "server/discover": "DiscoverResult", "subscriptions/listen": "SubscriptionsListenResult",
}
ERRORS = {-32020: "HeaderMismatchError", -32021: "MissingRequiredClientCapabilityError", -32022: "UnsupportedProtocolVersionError"}


class Invalid(AssertionError):
    """A message that the revision does not allow."""


def schema_file(revision):
    """The file of the revision's schema, or None; said on standard error which."""
    folder = os.environ.get("MCP_SCHEMA_DIR")
    file = pathlib.Path(folder or ROOT.parent / "shared" / "schema") / (revision + ".json")
    if file.exists():
        print("schemas: messages are held against %s" % file, file=sys.stderr)
        return file
    if folder:
        raise SystemExit("schemas: MCP_SCHEMA_DIR has no %s" % file)
    print("schemas: none at %s, messages not validated; set MCP_SCHEMA_DIR" % file.parent, file=sys.stderr)
    return None


class Validator:
    def __init__(self, revision, file):
        self.revision = revision
        self.definitions = json.loads(file.read_text())["$defs"] if file else None
        self.compiled = {}

    def message(self, message, method=None):
        """One message from the server; `method` is the request's that a response answers."""
        try:
            jsonrpc.jsonrpc_message_adapter.validate_python(message, by_name=False)
            if "method" in message:
                self.initiated(message)
            elif "error" in message:
                self.error(message)
            else:
                self.result(message, method)
        except Invalid:
            raise
        except Exception as problem:
            raise Invalid("not a message of %s: %s in %s" % (self.revision, brief(problem), brief(json.dumps(message)))) from None

    def initiated(self, message):
        if "id" in message:
            methods.parse_server_request(message["method"], self.revision, message.get("params"))
            return self.schema("ServerRequest", message)
        methods.parse_server_notification(message["method"], self.revision, message.get("params"))
        self.schema("ServerNotification", message)

    def error(self, message):
        # JSON-RPC writes null where the id is unknown; the schema leaves the member out. Both are met.
        known = {key: value for key, value in message.items() if key != "id" or value is not None}
        definition = ERRORS.get(message["error"]["code"], "")
        self.schema(definition if definition in (self.definitions or {}) else "JSONRPCErrorResponse", known)

    def result(self, message, method):
        result = message["result"]
        if (method, self.revision) in methods.SERVER_RESULTS:
            methods.validate_server_result(method, self.revision, result)
        self.schema("JSONRPCResultResponse", message)
        if method in RESULTS:
            is_asking = result.get("resultType") == "input_required"
            self.schema("InputRequiredResult" if is_asking else RESULTS[method], result)

    def schema(self, definition, value):
        if self.definitions is None:
            return
        if definition not in self.compiled:
            whole = {"$ref": "#/$defs/" + definition, "$defs": self.definitions}
            self.compiled[definition] = jsonschema.Draft202012Validator(whole)
        problem = jsonschema.exceptions.best_match(self.compiled[definition].iter_errors(value))
        if problem:
            place = "/".join(str(each) for each in problem.absolute_path)
            raise Invalid("schema %s of %s at /%s: %s" % (definition, self.revision, place, brief(problem.message)))


def brief(value, limit=400):
    value = " ".join(str(value).split())
    return value if len(value) <= limit else value[:limit] + "…"
