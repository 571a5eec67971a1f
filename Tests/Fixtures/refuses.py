"""A server that refuses the handshake with its reason, and ends."""
import os
import fixture


class Refuses(fixture.Server):
    def initialize(self, message):
        self.refuse(message["id"], -32603, "API_KEY is not set")
        os._exit(5)


Refuses().run()
