"""Dies at the first words when they come late."""
import os
import sys
import time
import fixture

begun = time.monotonic()
sys.stderr.write("started\n")
sys.stderr.flush()


class Late(fixture.Server):
    spoken = False

    def received(self, message):
        if not self.spoken and time.monotonic() - begun > 2:
            os._exit(4)
        self.spoken = True
        super().received(message)


Late().run()
