"""Answers nothing that it does not know before the path in GATE is there."""
import os
import time
import fixture


class Gated(fixture.Server):
    def other(self, message):
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
        super().other(message)


Gated().run()
