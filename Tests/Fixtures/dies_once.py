"""A server of both eras whose first process is killed as soon as it is spoken to."""
import os
import signal
import sys
import dual


class DiesOnce(dual.Dual):
    def received(self, message):
        if not os.path.exists(sys.argv[1]):
            open(sys.argv[1], "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        super().received(message)


DiesOnce().run()
