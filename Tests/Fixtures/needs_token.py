"""Tells what credentials it was started with, on request and on stderr."""
import os
import sys
import fixture

sys.stderr.write("starting with token %s\n" % os.environ.get("API_TOKEN", "(none)"))
sys.stderr.flush()


@fixture.tool
def token(call):
    "The token of the environment."
    return os.environ.get("API_TOKEN", "(none)")


fixture.Server().run()
