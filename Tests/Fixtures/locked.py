"""Takes a lock that no second process gets, and gives it back a moment after its input has ended."""
import fcntl
import sys
import time
import fixture


class Locked(fixture.Server):
    def ended(self):
        time.sleep(0.3)


lock = open(sys.argv[1], "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit("another one has the lock")
Locked().run()
