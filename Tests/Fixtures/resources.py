"""A legacy server with resources that can be subscribed to."""
import fixture


class Resources(fixture.Server):
    def __init__(self):
        super().__init__()
        self.subscribed = []

    def initialize(self, message):
        self.answer(message["id"], {
            "protocolVersion": (message.get("params") or {}).get("protocolVersion"),
            "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}},
            "serverInfo": {"name": "resources", "version": "1"}})

    def other(self, message):
        uri = (message.get("params") or {}).get("uri")
        if message["method"] == "resources/subscribe":
            self.subscribed.append(uri)
            self.answer(message["id"], {})
        elif message["method"] == "resources/unsubscribe":
            self.subscribed.remove(uri)
            self.answer(message["id"], {})
        else:
            super().other(message)


@fixture.tool
def touch(call, uri=""):
    "Says that a resource was updated, where that was asked for."
    if uri in call.server.subscribed:
        call.server.send({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})
    return call.server.subscribed


@fixture.tool
def change_tools(call):
    "Says that the list of tools changed."
    call.server.send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    return "changed"


if __name__ == "__main__":
    Resources().run()
