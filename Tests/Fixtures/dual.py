"""A server of both eras, as the SDKs of 2026 make them: whoever opens with the handshake is asked by requests, nobody else."""
import fixture


class Dual(fixture.Server):
    is_modern = False

    def answer(self, message_id, result):
        super().answer(message_id, {"resultType": "complete", **result} if self.is_modern else result)

    def other(self, message):
        if message["method"] != "server/discover":
            return super().other(message)
        self.is_modern = True
        self.answer(message["id"], {
            "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
            "serverInfo": {"name": "dual", "version": "1"}})

    def ask(self, method, params=None, seconds=60):
        if self.is_modern:
            return {"error": {"code": 0, "message": "no back-channel"}}
        return super().ask(method, params, seconds)


@fixture.tool
def heard(call):
    "What the process was asked so far."
    return call.server.seen


if __name__ == "__main__":
    Dual().run()
