"""A client of Fly's from PyPI, which knows nothing of Berth, drives one machine through its life.

third_party.py URL APP IMAGE   (the bearer token in FLY_API_TOKEN)
"""
import os
import sys
import time

url, app, image = sys.argv[1:]
os.environ.update(FLY_APP_NAME=app, FLY_REGION="local")

import httpx  # noqa: E402
import sandboxer  # noqa: E402
from sandboxer.types import CreateSandboxRequest  # noqa: E402


def until(what, holds):
    end = time.monotonic() + 90
    while not holds():
        if time.monotonic() > end:
            sys.exit("WRONG never %s" % what)
        time.sleep(0.05)


def state():
    """As the client does not tell it: to it everything runs that is not stopped."""
    machine = "%s/v1/apps/%s/machines/%s" % (url, app, box.id)
    return httpx.get(machine, headers={"authorization": "Bearer " + os.environ["FLY_API_TOKEN"]}).json()["state"]


client = sandboxer.Sandboxer("fly-machines", {"api_key": os.environ["FLY_API_TOKEN"], "base_url": url})
box, info = client.create_sandbox(CreateSandboxRequest(template=image, memory_mb=256))
assert len(box.id) == 14, box.id
assert [each.id for each in client.list_sandboxes()] == [box.id]
until("started", lambda: state() == "started")
assert box.is_running() and box.info().template == image and box.info().memory_mb == 256
box.pause()
until("suspended", lambda: state() == "suspended")
box.resume()
until("started again", lambda: state() == "started")
client.attach_sandbox(box.id).kill()
until("gone", lambda: client.list_sandboxes() == [])
print("created, listed, read, suspended, started, deleted %s" % box.id)
