"""Refuses the handshake of a client that declares something odd."""
import fixture


class Strict(fixture.Server):
    def initialize(self, message):
        if "odd" in message["params"]["capabilities"].get("experimental", {}):
            self.refuse(message["id"], -32602, "odd")
        else:
            super().initialize(message)


Strict().run()
