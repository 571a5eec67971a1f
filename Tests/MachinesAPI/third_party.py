"""Two clients of Fly's from PyPI, which know nothing of Berth, drive machines through their lives.

third_party.py URL APP IMAGE   (the bearer token in FLY_API_TOKEN)
"""
import asyncio
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


async def flaude_life():
    """Finds or makes its app, and starts, stops, reads and destroys a machine that is there."""
    import flaude.app
    import flaude.fly_client
    import flaude.machine
    import flaude.runner

    flaude.fly_client.FLY_API_BASE = url + "/v1"
    assert (await flaude.app.ensure_app("other-" + app)).name == "other-" + app
    assert (await flaude.app.ensure_app("other-" + app, org="personal")).org == "personal"
    made = await flaude.fly_client.fly_post(
        "/apps/other-%s/machines" % app, json={"config": {"image": image, "restart": {"policy": "no"}}, "skip_launch": True})
    name, machine = "other-" + app, made["id"]
    assert (await flaude.machine.get_machine(name, machine)).state == "stopped"
    await flaude.machine.start_machine(name, machine)
    await flaude.fly_client.fly_get("/apps/%s/machines/%s/wait?state=started" % (name, machine), timeout=70)
    await flaude.machine.stop_machine(name, machine)
    assert await flaude.runner.wait_for_machine_exit(name, machine, timeout=70) == ("stopped", 0)
    await flaude.machine.destroy_machine(name, machine)
    assert (await flaude.machine.get_machine(name, machine)).state == "destroyed"
    await flaude.machine.destroy_machine(name, machine)


asyncio.run(flaude_life())
print("two clients: created, listed, read, suspended, started, stopped, destroyed")
