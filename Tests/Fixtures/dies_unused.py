"""Ends by itself when nobody has spoken to it for a moment after its start."""
import os
import select
import sys
import fixture

if not select.select([sys.stdin], [], [], 1)[0]:
    sys.stderr.write("nobody came\n")
    sys.stderr.flush()
    os._exit(3)
fixture.Server().run()
