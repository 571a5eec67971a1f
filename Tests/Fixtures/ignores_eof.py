"""Ignores the end of its input and SIGTERM; tells so on stderr."""
import signal
import sys
import time
import fixture


class Stubborn(fixture.Server):
    def ended(self):
        sys.stderr.write("input ended, staying\n")
        sys.stderr.flush()
        while True:
            time.sleep(60)


signal.signal(signal.SIGTERM, signal.SIG_IGN)
Stubborn().run()
