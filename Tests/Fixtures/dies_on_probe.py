"""Exits at once on a method it does not know, as older servers do on `server/discover`."""
import os
import fixture


class Brittle(fixture.Server):
    def other(self, message):
        os._exit(1)


Brittle().run()
