"""Refuses whatever comes before the handshake, as servers of the Python SDK before 2.0 do."""
import fixture


class Uninitialized(fixture.Server):
    def other(self, message):
        if message["method"] == "server/discover":
            return self.refuse(message["id"], -32602, "Received request before initialization was complete")
        super().other(message)


Uninitialized().run()
