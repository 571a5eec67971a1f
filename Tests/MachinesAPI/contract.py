"""Drives every call of the Machines API that Berth answers, as a client of Fly's would, and holds each request and each answer against
Fly's description.

contract.py URL CONFIG   (the bearer token in BERTH_TOKEN, the one for commands in BERTH_EXEC_TOKEN; CONFIG: JSON of a machine's configuration that becomes ready)
"""
import json
import os
import sys

import httpx

from description import Description


class Suite:
    def __init__(self, url, token):
        self.http = httpx.Client(base_url=url + "/v1", headers={"authorization": "Bearer " + token}, timeout=120)
        self.description = Description()
        self.wrong = []
        self.exchanges = 0
        self.seen = set()

    def call(self, method, path, expected, body=None, valid=True, nonce=None, token=None, **params):
        headers = {"fly-machine-lease-nonce": nonce} if nonce else {}
        if token:
            headers["authorization"] = "Bearer " + token
        response = self.http.request(method, path, json=body, params=params or None, headers=headers)
        self.exchanges += 1
        self.seen.add((method, path.split("/")[-1] if path.count("/") > 4 else path.count("/")))
        said = "%s %s %s" % (method, response.request.url.raw_path.decode(), response.status_code)
        if response.status_code != expected:
            self.wrong.append("%s, expected %d: %s" % (said, expected, response.text[:300]))
        if not response.headers.get("fly-request-id"):
            self.wrong.append("%s: no fly-request-id" % said)
        for complaint in self.description.complaints(response, valid):
            self.wrong.append("%s: %s" % (said, complaint))
        return response.json() if response.content else None

    def check(self, what, holds):
        if not holds:
            self.wrong.append(what)


def run(suite, config, executor):
    call, check = suite.call, suite.check
    # Apps
    app = call("POST", "/apps", 201, {"name": "contract", "org_slug": "personal"})
    check("the app's name", app["name"] == "contract")
    call("POST", "/apps", 201, {"app_name": "contract-two", "org_slug": "personal"})
    call("POST", "/apps", 400, {"name": "nobodys"})
    call("POST", "/apps", 422, {"name": "No Name", "org_slug": "personal"})
    call("GET", "/apps", 200, org_slug="personal")
    call("GET", "/apps/contract", 200)
    call("GET", "/apps/nothing", 404)
    call("DELETE", "/apps/contract-two", 202)

    # Create, list, get, wait
    machines = "/apps/contract/machines"
    made = call("POST", machines, 200, {"name": "one", "region": "local", "config": config})
    m = machines + "/" + made["id"]
    call("POST", machines, 422, {"name": "two", "config": {"image": "nginx:latest"}})
    call("POST", machines, 400, {"name": "two", "config": dict(config, binds=[])})
    waited = call("GET", m + "/wait", 200, state="started", timeout=60)
    check("the version that was waited for", waited["version"] == made["instance_id"])
    call("GET", m + "/wait", 200, state="settled")
    call("GET", m + "/wait", 408, state="stopped", timeout=1)
    call("GET", m + "/wait", 400, version="0" * 26)
    call("GET", m + "/wait", 400, valid=False, state="flying")
    got = call("GET", m, 200)
    check("the configuration comes back", all(got["config"].get(key) == value for key, value in config.items()))
    call("GET", machines + "/00000000000000", 404)
    check("the list has it", [each["id"] for each in call("GET", machines, 200)] == [made["id"]])
    call("GET", machines, 200, state="started", include_deleted="true")
    call("GET", "/orgs/personal/machines", 200)
    call("GET", m + "/events", 200, limit=5)

    # Metadata: no new version, no restart
    call("PUT", m + "/metadata", 204, {"metadata": {"a": "1", "b": "2"}})
    call("PATCH", m + "/metadata", 204, {"metadata": {"a": None, "c": "3"}, "machine_version": made["instance_id"]})
    call("PATCH", m + "/metadata", 412, {"metadata": {"a": "1"}, "machine_version": "0" * 26})
    call("POST", m + "/metadata/d", 204, {"value": "4"})
    check("one key", call("GET", m + "/metadata/d", 200) == {"value": "4"})
    call("DELETE", m + "/metadata/b", 204)
    call("GET", m + "/metadata/b", 404)
    check("all keys", call("GET", m + "/metadata", 200) == {"c": "3", "d": "4"})
    check("no new version", call("GET", m, 200)["instance_id"] == made["instance_id"])
    check("found by metadata", len(call("GET", machines, 200, **{"metadata.c": "3"})) == 1)

    # Cordon, processes, versions
    call("POST", m + "/cordon", 200)
    check("cordoned", call("GET", m, 200).get("cordoned") is True)
    call("POST", m + "/uncordon", 200)
    check("a process", call("GET", m + "/ps", 200, sort_by="rss", order="desc")[0]["rss"] > 0)
    call("GET", m + "/versions", 200)

    # Commands: refused to a token without the right to, in every form of Fly's description with it
    call("POST", m + "/exec", 403, {"command": ["true"]})
    ran = call("POST", m + "/exec", 200, {"command": ["sh", "-c", "cat; echo no >&2; exit 3"], "stdin": "in", "timeout": 20}, token=executor)
    check("what it wrote", (ran["stdout"], ran["stderr"], ran["exit_code"], ran["exit_signal"]) == ("in", "no\n", 3, 0))
    killed = call("POST", m + "/exec", 200, {"cmd": "sh -c 'kill -9 $$'"}, token=executor)
    check("a signal", (killed["exit_code"], killed["exit_signal"]) == (137, 9))
    late = call("POST", m + "/exec", 200, {"command": ["sleep", "100"], "timeout": 1}, token=executor)
    check("its time was over", late["berth"]["ended"] == "timeout")
    call("POST", m + "/exec", 400, {"command": []}, token=executor)
    call("POST", m + "/exec", 422, {"command": ["/nosuch"]}, token=executor)
    call("POST", m + "/exec", 422, {"command": ["true"], "container": "side"}, token=executor)
    told = [event["request"]["exec_event"] for event in call("GET", m + "/events", 200, limit=50) if event["type"] == "exec"]
    check("the events tell of them", [exec["ended"] for exec in told] == ["not_started", "timeout", "itself", "itself"])

    # Leases
    call("GET", m + "/lease", 404)
    lease = call("POST", m + "/lease", 201, {"ttl": 60, "description": "contract"})["data"]
    call("POST", m + "/lease", 409, {"ttl": 60})
    call("POST", m + "/stop", 409)
    call("POST", m + "/exec", 409, {"command": ["true"]}, token=executor)
    call("POST", m + "/exec", 200, {"command": ["true"]}, nonce=lease["nonce"], token=executor)
    call("POST", m + "/lease", 201, nonce=lease["nonce"], ttl=120)
    call("GET", m + "/lease", 200)
    call("DELETE", m + "/lease", 409, nonce="0" * 12)
    call("DELETE", m + "/lease", 200, nonce=lease["nonce"])

    # Suspend and start: the same boot
    boot = got["berth"]["boot_id"]
    call("POST", m + "/suspend", 200)
    call("GET", m + "/wait", 200, state="suspended", timeout=60)
    call("POST", m + "/exec", 412, {"command": ["true"]}, token=executor)
    call("POST", m + "/start", 200)
    call("GET", m + "/wait", 200, state="started", timeout=60)
    check("the same boot", call("GET", m, 200)["berth"]["boot_id"] == boot)

    # Update: a new version in its place
    wanted = dict(config, env=dict(config.get("env") or {}, CONTRACT="1"))
    call("POST", m, 409, {"config": wanted, "current_version": "0" * 26})
    updated = call("POST", m, 200, {"config": wanted, "current_version": made["instance_id"]})
    call("GET", m + "/wait", 200, state="started", timeout=60, version=updated["instance_id"])
    old = call("GET", m + "/wait", 400, instance_id=made["instance_id"])
    check("Fly's client knows the words", "currently replaced" in old["error"])
    check("two versions", len(call("GET", m + "/versions", 200)) == 2)

    # Restart, signal, stop, start, destroy
    call("POST", m + "/restart", 200, timeout="10s")
    call("GET", m + "/wait", 200, state="started", timeout=60)
    call("POST", m + "/signal", 400, {"signal": "SIGWINCH"}, valid=False)
    call("POST", m + "/signal", 422, {"signal": "SIGUSR1"})
    call("POST", m + "/signal", 200, {"signal": 15})
    call("GET", m + "/wait", 200, state="stopped", timeout=60)
    call("POST", m + "/suspend", 412)
    call("GET", m + "/ps", 412)
    call("POST", m + "/exec", 412, {"command": ["true"]}, token=executor)
    call("POST", m + "/start", 200)
    call("GET", m + "/wait", 200, state="started", timeout=60)
    call("DELETE", m, 412)
    call("POST", m + "/stop", 200, {"signal": "SIGTERM", "timeout": "10s"})
    call("GET", m + "/wait", 200, state="stopped", timeout=60)
    call("DELETE", m, 200)
    check("gone, and told", call("GET", m, 200)["state"] == "destroyed")

    # A machine made with a lease, never launched, destroyed by force
    leased = call("POST", machines, 200, {"name": "leased", "config": config, "lease_ttl": 60, "skip_launch": True})
    call("DELETE", machines + "/" + leased["id"], 409, force="true")
    call("DELETE", machines + "/" + leased["id"], 200, nonce=leased["nonce"], force="true")

    # What is not there says so by its name
    for method, path in (("GET", m + "/memory"), ("POST", m + "/memory/reclaim"), ("GET", "/apps/contract/volumes")):
        body = {"amount_mb": 1} if path.endswith("reclaim") else None
        refused = call(method, path, 501, body)
        check("%s says its name" % path, refused["status"] == "not_implemented" and refused["details"]["part"] in path)
    call("DELETE", "/apps/contract", 202)


def main():
    suite = Suite(sys.argv[1], os.environ["BERTH_TOKEN"])
    nobody = httpx.get(sys.argv[1] + "/v1/apps", params={"org_slug": "personal"})
    suite.wrong += ["without a token: " + complaint for complaint in suite.description.complaints(nobody)]
    suite.check("without a token: %d" % nobody.status_code, nobody.status_code == 401)
    run(suite, json.loads(sys.argv[2]), os.environ["BERTH_EXEC_TOKEN"])
    for line in suite.wrong:
        print("WRONG", line)
    print("%d exchanges of %d kinds, %d wrong" % (suite.exchanges, len(suite.seen), len(suite.wrong)))
    sys.exit(1 if suite.wrong else 0)


main()
