"""`http-header-validation` and `http-custom-header-server-validation`."""

import base64

from client import check, expect
from expected import registry

SCENARIOS, scenario = registry()
STANDARD, CUSTOM = "http-header-validation/", "http-custom-header-server-validation/"
TOOL = "test_simple_text"


def rejected(outcome, what):
    expect((outcome.status, outcome.error["code"]), (400, -32020), "status and code for " + what)


def encoded(text):
    return "=?base64?%s?=" % base64.b64encode(text.encode()).decode()


@scenario(STANDARD + "method")
def method(run):
    for value in ("prompts/list", "TOOLS/LIST", None, ""):
        rejected(run.client.request("tools/list", headers={"Mcp-Method": value}), "Mcp-Method %s over tools/list" % value)


@scenario(STANDARD + "name")
def name(run):
    for value in ("wrong_tool_name", TOOL.upper(), None, ""):
        rejected(run.client.call(TOOL, headers={"Mcp-Name": value}), "Mcp-Name %s over %s" % (value, TOOL))
    rejected(run.client.request("prompts/get", {"name": "test_simple_prompt"}, headers={"Mcp-Name": "other"}), "Mcp-Name over prompts/get")
    read = {"uri": "test://static-text"}
    rejected(run.client.request("resources/read", read, headers={"Mcp-Name": "test://static-binary"}), "Mcp-Name over resources/read")


@scenario(STANDARD + "case-of-names")
def case_of_names(run):
    for field in ("mcp-method", "MCP-METHOD"):
        run.client.request("tools/list", headers={"Mcp-Method": None, field: "tools/list"}).result
    for field in ("mcp-name", "MCP-NAME"):
        run.client.call(TOOL, headers={"Mcp-Name": None, field: TOOL}).result


@scenario(STANDARD + "whitespace")
def whitespace(run):
    """RFC 9110 §5.5: white space around a value is none of it."""
    for before, after in (("  ", ""), ("", "  "), ("\t", "\t"), ("  ", "  ")):
        run.client.call(TOOL, headers={"Mcp-Name": before + TOOL + after}).result
        run.client.call(TOOL, headers={"Mcp-Method": before + "tools/call" + after}).result
        run.client.call(TOOL, headers={"MCP-Protocol-Version": before + "2026-07-28" + after}).result


@scenario(STANDARD + "base64")
def base64_name(run):
    run.client.call(TOOL, headers={"Mcp-Name": encoded(TOOL)}).result
    rejected(run.client.call(TOOL, headers={"Mcp-Name": encoded("other")}), "Mcp-Name of another tool in base64")
    rejected(run.client.call(TOOL, headers={"Mcp-Name": encoded(TOOL).replace("=?=", "?=")}), "Mcp-Name in base64 that is cut")


def region(run, body, header, limit=None):
    arguments = {"region": body} if body is not None else {}
    headers = {"Mcp-Param-Region": header}
    if limit:
        arguments["limit"], headers["Mcp-Param-Limit"] = limit
    return run.client.call("test_x_mcp_header", arguments, headers=headers)


@scenario(CUSTOM + "accepted")
def accepted(run):
    hello = base64.b64encode(b"Hello").decode()
    for body, header in (
        ("eu", "eu"), ("Hello", encoded("Hello")), ("Zürich", encoded("Zürich")), (hello, hello), ("=?base64?" + hello, "=?base64?" + hello),
        (" edge ", encoded(" edge ")),
    ):
        outcome = region(run, body, header)
        expect(outcome.result["content"][0]["text"], "region=%s limit=None" % body, "content for Mcp-Param-Region: " + header)


@scenario(CUSTOM + "integer")
def integer(run):
    expect(region(run, "eu", "eu", (5, "5")).result["content"][0]["text"], "region=eu limit=5", "content")
    rejected(region(run, "eu", "eu", (5, "6")), "Mcp-Param-Limit 6 over 5")


@scenario(CUSTOM + "mismatch")
def mismatch(run):
    rejected(region(run, "eu", "us"), "Mcp-Param-Region us over eu")
    rejected(region(run, "eu", "EU"), "Mcp-Param-Region EU over eu")


@scenario(CUSTOM + "bad-base64")
def bad_base64(run):
    for header in ("=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?="):
        rejected(region(run, "Hello", header), "Mcp-Param-Region: " + header)


@scenario(CUSTOM + "missing")
def missing(run):
    rejected(region(run, "test-value", None), "an argument without its Mcp-Param-Region")


@scenario(CUSTOM + "not-expected")
def not_expected(run):
    outcome = region(run, None, None)
    expect(outcome.result["content"][0]["text"], "region=None limit=None", "content without argument and header")
    rejected(region(run, None, "eu"), "a Mcp-Param-Region without its argument")


@scenario(CUSTOM + "annotation-kept")
def annotation(run):
    listed = {each["name"]: each for each in run.client.request("tools/list").result["tools"]}
    schema = listed["test_x_mcp_header"]["inputSchema"]
    check(schema["properties"]["region"].get("x-mcp-header") == "Region", "x-mcp-header in the listed schema", schema)
