"""`server-stateless`, a scenario per check or table: the error ladder, discovery, and what a response stream may carry."""

import json

from client import ACCEPT, MODERN, PREFIX, check, expect
from expected import registry, together

SCENARIOS, scenario = registry("server-stateless/")
REMOVED = ("initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe")


def refused(outcome, status, code, identity, what):
    expect((outcome.status, outcome.error["code"]), (status, code), "status and code for " + what)
    expect(outcome.response.get("id"), identity, "id of the error for " + what)


@scenario("missing-meta")
def missing_meta(run):
    for identity in (7, "seven"):
        for missing in ("protocolVersion", "clientCapabilities"):
            outcome = run.client.request("server/discover", meta={PREFIX + missing: None}, identity=identity)
            refused(outcome, 400, -32602, identity, "no " + missing)
        for params in ({}, None):
            message = {"jsonrpc": "2.0", "id": identity, "method": "server/discover"} | ({} if params is None else {"params": params})
            headers = [("Accept", ACCEPT), ("MCP-Protocol-Version", MODERN), ("Mcp-Method", "server/discover")]
            stream = run.endpoint.send("POST", headers, message, "server/discover")
            refused(run.endpoint.collect(stream, identity), 400, -32602, identity, "params %s" % params)


@scenario("client-info-optional")
def client_info(run):
    run.client.request("server/discover", meta={PREFIX + "clientInfo": None}).result


@scenario("unparsable")
def unparsable(run):
    headers = [("Accept", ACCEPT), ("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/list")]
    for body, code in ((b"{", -32700), (b"[]", -32600), (b'"text"', -32600), (b"[1]", -32600)):
        stream = run.endpoint.send("POST", headers, body, "tools/list")
        seen = json.loads(stream.body() or b"{}")
        expect((stream.status, seen.get("error", {}).get("code")), (400, code), "status and code for the body %s" % body)
        expect(seen.get("id"), None, "id of the error for the body %s" % body)
        run.endpoint.validator.message(seen)


@scenario("discover")
def discover(run):
    result = run.client.request("server/discover").result
    check(MODERN in result["supportedVersions"], MODERN + " in supportedVersions", result["supportedVersions"])
    capabilities = result["capabilities"]
    lists = {"tools": "tools/list", "prompts": "prompts/list", "resources": "resources/list"}
    for capability, method in lists.items():
        check(capability in capabilities, "capability " + capability, capabilities)
        check(isinstance(run.client.request(method).result[capability], list), "a list from " + method, None)
    check("completions" in capabilities, "capability completions", capabilities)


@scenario("unsupported-version")
def unsupported(run):
    known = run.client.request("server/discover").result["supportedVersions"]
    for identity in (7, "seven"):
        outcome = run.client.request(
            "server/discover", meta={PREFIX + "protocolVersion": "v999.0.0"}, headers={"MCP-Protocol-Version": "v999.0.0"}, identity=identity)
        refused(outcome, 400, -32022, identity, "version v999.0.0")
        data = outcome.error.get("data") or {}
        expect(data.get("requested"), "v999.0.0", "data.requested")
        check(data.get("supported") and set(data["supported"]) <= set(known), "data.supported within %s" % known, data)


@scenario("version-header")
def version_header(run):
    outcome = run.client.request("server/discover", headers={"MCP-Protocol-Version": "v999.0.0"}, identity="v")
    refused(outcome, 400, -32020, "v", "MCP-Protocol-Version v999.0.0 over a body of %s" % MODERN)
    outcome = run.client.request("server/discover", meta={PREFIX + "protocolVersion": "v999.0.0"}, identity="v")
    refused(outcome, 400, -32020, "v", "a body of v999.0.0 under MCP-Protocol-Version %s" % MODERN)


@scenario("version-header-missing")
def version_header_missing(run):
    outcome = run.client.request("server/discover", headers={"MCP-Protocol-Version": None}, identity="v")
    refused(outcome, 400, -32020, "v", "no MCP-Protocol-Version over a body of %s" % MODERN)


@scenario("undeclared-capability")
def undeclared(run):
    outcome = run.client.call("test_missing_capability", identity=401)
    refused(outcome, 400, -32021, 401, "sampling undeclared")
    expect(outcome.error["data"], {"requiredCapabilities": {"sampling": {}}}, "data")
    declared = run.client.call("test_missing_capability", capabilities={"sampling": {}})
    check(not declared.result.get("isError"), "no error with sampling declared", declared.response)


@scenario("removed-methods")
def removed(run):
    for method in REMOVED:
        for identity in (500, "five hundred"):
            refused(run.client.request(method, identity=identity), 404, -32601, identity, method)


@scenario("unknown-method")
def unknown(run):
    for identity in (501, "five hundred and one"):
        refused(run.client.request("unknown/method", identity=identity), 404, -32601, identity, "unknown/method")


@scenario("bad-params")
def bad_params(run):
    for params in ({}, {"name": 7}):
        outcome = run.client.request("tools/call", params, headers={"Mcp-Name": "test_simple_text"}, identity=3)
        check(outcome.status == 400 and outcome.error["code"] in (-32602, -32020), "400 and -32602 for %s" % params, outcome.response)
    refused(run.client.call("no_such_tool", identity=4), 400, -32602, 4, "an unknown tool")


@scenario("no-requests-on-stream")
def no_requests(run):
    for capabilities in ({}, {"elicitation": {}, "sampling": {}, "roots": {}}):
        outcome = run.client.call("test_streaming_elicitation", capabilities=capabilities, meta={"progressToken": "p"})
        expect(outcome.requests, [], "requests on the stream")
        outcome.result


@scenario("no-log-without-level")
def no_log(run):
    outcome = run.client.call("test_logging_tool")
    expect(outcome.of("notifications/message"), [], "log messages without logLevel")
    check(outcome.result["content"], "a result", outcome.response)


@scenario("no-session")
def no_session(run):
    for headers in ({}, {"Mcp-Session-Id": "invented", "Last-Event-ID": "17"}):
        outcome = run.client.request("tools/list", headers=headers)
        expect(outcome.status, 200, "status with %s" % headers)
        check("mcp-session-id" not in outcome.headers, "no Mcp-Session-Id", outcome.headers)


@scenario("get-and-delete")
def get_and_delete(run):
    for verb in ("GET", "DELETE"):
        stream = run.endpoint.send(verb, [("Accept", ACCEPT), ("MCP-Protocol-Version", MODERN)])
        expect(stream.status, 405, "status of " + verb)
        stream.close()


@scenario("equal-ids")
def equal_ids(run):
    """Clients send the same id with every request, at the same time too."""
    def one(index):
        outcome = run.client.call("test_x_mcp_header", {"region": "r%d" % index}, identity=1, headers={"Mcp-Param-Region": "r%d" % index})
        expect(outcome.result["content"][0]["text"], "region=r%d limit=None" % index, "the answer to caller %d" % index)
    together(12, one)
