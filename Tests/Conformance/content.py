"""What the fixture offers, as plain wire objects: its names, texts and schemas. No SDK, no era."""

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

SIMPLE_TEXT = "This is a simple text response for testing."
ERROR_TEXT = "This tool intentionally returns an error for testing"
LOGS = ["Tool execution started", "Tool processing data", "Tool execution completed"]


def text(value):
    return {"type": "text", "text": value}


IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
AUDIO = {"type": "audio", "data": WAV, "mimeType": "audio/wav"}


def embedded(uri, kind, value):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": value}}


EMBEDDED = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
MIXED = [
    text("Multiple content types test:"), IMAGE,
    embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
]

# ---- forms

NAME_FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CONFIRM_FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
USER_FORM = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}
# SEP-1034: a default for each primitive kind.
DEFAULTS_FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    },
    "required": [],
}
TITLES = [("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option")]
# SEP-1330: the five forms of an enumeration.
ENUMS_FORM = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": [{"const": value, "title": title} for value, title in TITLES]},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": [{"const": value, "title": title} for value, title in TITLES]}},
    },
    "required": [],
}

# ---- schemas of tools

EMPTY = {"type": "object", "properties": {}}


def one_string(name):
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


FULL_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef", "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"}, "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
HEADER_SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limit": {"type": "integer", "x-mcp-header": "Limit"},
        "note": {"type": "string"},
    },
    "required": [],
}

# ---- resources and prompts

STATIC_TEXT = {"uri": "test://static-text", "mimeType": "text/plain", "text": "This is the content of the static text resource."}
STATIC_BINARY = {"uri": "test://static-binary", "mimeType": "image/png", "blob": PNG}
WATCHED = {"uri": "test://watched-resource", "mimeType": "text/plain", "text": "Watched resource content"}
RESOURCES = [
    {"uri": "test://static-text", "name": "static-text", "description": "A static text", "mimeType": "text/plain"},
    {"uri": "test://static-binary", "name": "static-binary", "description": "A static image", "mimeType": "image/png"},
    {"uri": "test://watched-resource", "name": "watched-resource", "description": "Changes", "mimeType": "text/plain"},
]
TEMPLATES = [{
    "uriTemplate": "test://template/{id}/data", "name": "template", "description": "Data by id", "mimeType": "application/json",
}]


def read(uri):
    """The contents of a resource, or None."""
    fixed = {each["uri"]: each for each in (STATIC_TEXT, STATIC_BINARY, WATCHED)}
    if uri in fixed:
        return fixed[uri]
    if uri.startswith("test://template/") and uri.endswith("/data"):
        key = uri[len("test://template/"):-len("/data")]
        return {"uri": uri, "mimeType": "application/json", "text": '{"id":"%s","templateTest":true,"data":"Data for ID: %s"}' % (key, key)}
    return None


def argument(name):
    return {"name": name, "description": "An argument", "required": True}


PROMPTS = [
    {"name": "test_simple_prompt", "description": "No arguments"},
    {"name": "test_prompt_with_arguments", "description": "Two", "arguments": [argument("arg1"), argument("arg2")]},
    {"name": "test_prompt_with_embedded_resource", "description": "A resource", "arguments": [argument("resourceUri")]},
    {"name": "test_prompt_with_image", "description": "An image"},
    {"name": "test_input_required_result_prompt", "description": "Asks first"},
]


def user(content):
    return {"role": "user", "content": content}


def prompt(name, arguments):
    """The messages of a prompt that needs no input, or None."""
    if name == "test_simple_prompt":
        return [user(text("This is a simple prompt for testing."))]
    if name == "test_prompt_with_arguments":
        return [user(text("Prompt with arguments: arg1='%s', arg2='%s'" % (arguments["arg1"], arguments["arg2"])))]
    if name == "test_prompt_with_embedded_resource":
        resource = embedded(arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
        return [user(resource), user(text("Please process the embedded resource above."))]
    if name == "test_prompt_with_image":
        return [user(IMAGE), user(text("Please analyze the image above."))]
    return None
