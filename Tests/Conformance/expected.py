"""Scenarios whose assertions are the same in both eras. Each takes `ask(method, params)`, which gives a result."""

import re
import threading
import time

import content
from client import DEADLINE, Failed, check, expect


def registry(prefix=""):
    """A file's scenarios by name, and the decorator that puts them there."""
    scenarios = {}

    def scenario(name):
        def register(function):
            scenarios[prefix + name] = function
            return function
        return register
    return scenarios, scenario


def complete(ask):
    ref = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
    result = ask("completion/complete", {"ref": ref, "argument": {"name": "arg1", "value": "par"}})
    expect(result["completion"]["values"], ["paris", "park", "party"], "values")


def tools_list(ask):
    listed = ask("tools/list", {})["tools"]
    check(len(listed) > 20, "the fixture's tools", [each["name"] for each in listed])
    for tool in listed:
        check(re.fullmatch(r"[A-Za-z0-9_./-]{1,64}", tool["name"]), "a tool name of 1 to 64 characters", tool["name"])
        check(tool.get("description"), "a description of " + tool["name"], tool)
        expect(tool["inputSchema"].get("type"), "object", "inputSchema.type of " + tool["name"])


def json_schema(ask):
    tool = [each for each in ask("tools/list", {})["tools"] if each["name"] == "json_schema_2020_12_tool"]
    expect([each["inputSchema"] for each in tool], [content.FULL_SCHEMA], "inputSchema of json_schema_2020_12_tool")


def blocks(tool, wanted):
    def scenario(ask):
        result = ask("tools/call", {"name": tool, "arguments": {}})
        expect(result["content"], wanted, "content of " + tool)
        check(not result.get("isError"), "no isError from " + tool, result)
    return scenario


def tool_error(ask):
    result = ask("tools/call", {"name": "test_error_handling", "arguments": {}})
    expect((result.get("isError"), result["content"]), (True, [content.text(content.ERROR_TEXT)]), "isError and content")


def resources_list(ask):
    expect(ask("resources/list", {})["resources"], content.RESOURCES, "resources")


def read(uri):
    def scenario(ask):
        expect(ask("resources/read", {"uri": uri})["contents"], [content.read(uri)], "contents of " + uri)
    return scenario


def templates(ask):
    expect(ask("resources/templates/list", {})["resourceTemplates"], content.TEMPLATES, "resourceTemplates")
    read("test://template/123/data")(ask)


def prompts_list(ask):
    listed = ask("prompts/list", {})["prompts"]
    expect(listed, content.PROMPTS, "prompts")


def prompt(name, arguments=None):
    def scenario(ask):
        params = {"name": name} | ({"arguments": arguments} if arguments else {})
        expect(ask("prompts/get", params)["messages"], content.prompt(name, arguments or {}), "messages of " + name)
    return scenario


def normal(result):
    """A result without what each server and hop says of itself."""
    meta = {key: value for key, value in result.get("_meta", {}).items() if not key.endswith("/serverInfo")}
    kept = {key: value for key, value in result.items() if key not in ("_meta", "ttlMs", "cacheScope")}
    return kept | ({"_meta": meta} if meta else {})


def compared(ask, control):
    """`ask`, whose every result must be what the same server says without anything between."""
    if control is None:
        return ask

    def both(method, params):
        result = ask(method, params)
        expect(normal(result), normal(control(method, params)), "the result of %s as from the server itself" % method)
        return result
    return both


COMMON = {
    "completion-complete": complete,
    "tools-list": tools_list,
    "json-schema-2020-12": json_schema,
    "tools-call-simple-text": blocks("test_simple_text", [content.text(content.SIMPLE_TEXT)]),
    "tools-call-image": blocks("test_image_content", [content.IMAGE]),
    "tools-call-audio": blocks("test_audio_content", [content.AUDIO]),
    "tools-call-embedded-resource": blocks("test_embedded_resource", [content.EMBEDDED]),
    "tools-call-mixed-content": blocks("test_multiple_content_types", content.MIXED),
    "tools-call-error": tool_error,
    "resources-list": resources_list,
    "resources-read-text": read("test://static-text"),
    "resources-read-binary": read("test://static-binary"),
    "resources-templates-read": templates,
    "prompts-list": prompts_list,
    "prompts-get-simple": prompt("test_simple_prompt"),
    "prompts-get-with-args": prompt("test_prompt_with_arguments", {"arg1": "testValue1", "arg2": "testValue2"}),
    "prompts-get-embedded-resource": prompt("test_prompt_with_embedded_resource", {"resourceUri": "test://example-resource"}),
    "prompts-get-with-image": prompt("test_prompt_with_image"),
}


def progress(notifications, token):
    wanted = [{"progressToken": token, "progress": value, "total": 100} for value in (0, 50, 100)]
    seen = [{key: each.get(key) for key in ("progressToken", "progress", "total")} for each in notifications]
    expect(seen, wanted, "progress on the call's stream")


def until_counted(count, read, what):
    """`read()` gives how many of `what` the server counted."""
    deadline = time.monotonic() + DEADLINE
    while (seen := read()) < count:
        if time.monotonic() > deadline:
            raise Failed("expected %d %s at the server within %d s, saw %d" % (count, what, DEADLINE, seen))
        time.sleep(0.02)
    expect(seen, count, "%s at the server" % what)


def together(count, run):
    """`run(index)` in threads of their own; the first failure counts."""
    failures = []

    def guarded(index):
        try:
            run(index)
        except Exception as failure:
            failures.append(failure)
    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    if failures:
        raise failures[0]
    if any(thread.is_alive() for thread in threads):
        raise Failed("expected %d answers within %d s, saw some missing" % (count, DEADLINE))


def rebinding(send, what):
    """`send(headers)` gives a status."""
    evil, port = "evil.example.com", send.port
    for headers in ([("Host", evil), ("Origin", "http://" + evil)], [("Host", evil)], [("Origin", "http://" + evil)]):
        status = send(headers)
        check(400 <= status < 500, "4xx for %s" % headers, "HTTP %d" % status)
    for name in ("localhost", "127.0.0.1"):
        own = "%s:%d" % (name, port)
        for headers in ([("Host", own)], [("Host", own), ("Origin", "http://" + own)]):
            status = send(headers)
            check(200 <= status < 300, "2xx to %s for %s" % (what, headers), "HTTP %d" % status)
