"""A server of the stateless revision only."""
import fixture


class Modern(fixture.Server):
    version = "2026-07-28"

    def answer(self, message_id, result):
        super().answer(message_id, {"resultType": "complete", **result})

    def initialize(self, message):
        self.refuse(message["id"], -32601, "Method not found")

    def other(self, message):
        if message["method"] == "server/discover":
            self.answer(message["id"], {
                "supportedVersions": [self.version], "capabilities": {"tools": {}}, "instructions": "A fixture.", "ttlMs": 0, "cacheScope": "private",
                "serverInfo": {"name": "modern-fixture", "version": "1"},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "modern-fixture", "version": "1"}}})
        else:
            super().other(message)

    def listing(self):
        return {**super().listing(), "ttlMs": 0, "cacheScope": "private"}


if __name__ == "__main__":
    Modern().run()
