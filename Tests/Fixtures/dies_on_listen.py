"""A stateless server that dies over its first subscription; MARK names a file that remembers it."""
import os

import fixture


class DiesOnListen(fixture.Server):
    def answer(self, message_id, result):
        super().answer(message_id, {"resultType": "complete", **result})

    def initialize(self, message):
        self.refuse(message["id"], -32601, "Method not found")

    def other(self, message):
        if message["method"] == "server/discover":
            self.answer(message["id"], {
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": True}}, "ttlMs": 0, "cacheScope": "private"})
        elif message["method"] != "subscriptions/listen":
            super().other(message)
        elif os.path.exists(os.environ["MARK"]):
            params = {"notifications": message["params"]["notifications"], "_meta": {"io.modelcontextprotocol/subscriptionId": message["id"]}}
            self.send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})
        else:
            open(os.environ["MARK"], "w").close()
            os._exit(5)


DiesOnListen().run()
