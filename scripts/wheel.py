#!/usr/bin/env python3
"""The PyPI wheel of berth-bridge, by the standard library alone.

  wheel.py build BINARY VERSION FOLDER                  makes FOLDER/berth_bridge-VERSION-….whl and prints its path
  wheel.py check WHEEL [--limit MB] -- SERVER COMMAND   installs it from the file and calls a tool through it; prints what held

The same binary gives the same bytes. Its one script is the static executable itself: no Python runs at a start."""
import base64, csv, hashlib, io, json, os, platform, re, shutil, subprocess, sys, tempfile, venv, zipfile

SCRIPT = "berth-bridge"
METADATA = """\
Metadata-Version: 2.1
Name: berth-bridge
Version: {version}
Summary: Serves STDIO MCP servers as Streamable HTTP, and talks to MCP servers from a terminal
License: Apache-2.0
Keywords: mcp,model-context-protocol,bridge,stdio,streamable-http
Classifier: Environment :: Console
Classifier: License :: OSI Approved :: Apache Software License
Classifier: Operating System :: POSIX :: Linux
Requires-Python: >=3.8
Description-Content-Type: text/markdown

# berth-bridge

    berth-bridge -- python server.py                  # the server at http://127.0.0.1:PORT/mcp, for clients of every revision
    berth-bridge inspect -- python server.py          # what it says of itself and offers
    berth-bridge call URL TOOL '{{"name": "value"}}'    # one call, from a terminal
    berth-bridge connect URL                          # a STDIO server in front of a URL, for clients that speak only STDIO

One static executable of Berth: no Python runs, nothing else is installed. `berth-bridge --help` lists all commands.
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: berth\nRoot-Is-Purelib: false\n"


def digest(content):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def build(binary, version, folder):
    # Static: it needs no libc of the host's, neither of the one kind nor of the other.
    platforms = [f"{kind}_{platform.machine()}" for kind in ("manylinux_2_17", "musllinux_1_1")]
    tag = "py3-none-" + ".".join(platforms)
    name = f"berth_bridge-{version}"
    info = f"{name}.dist-info"
    licence = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "LICENSE")
    files = [
        (f"{name}.data/scripts/{SCRIPT}", read(binary), 0o755),
        (f"{info}/METADATA", METADATA.format(version=version).encode(), 0o644),
        (f"{info}/WHEEL", (WHEEL + "".join(f"Tag: py3-none-{name}\n" for name in platforms)).encode(), 0o644),
        (f"{info}/licenses/LICENSE", read(licence), 0o644),
    ]
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerows((path, digest(content), len(content)) for path, content, _ in files)
    writer.writerow((f"{info}/RECORD", "", ""))
    files.append((f"{info}/RECORD", rows.getvalue().encode(), 0o644))

    path = os.path.join(folder, f"{name}-{tag}.whl")
    with zipfile.ZipFile(path + ".new", "w") as archive:
        for member, content, mode in files:
            entry = zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr, entry.compress_type = 3, (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    os.replace(path + ".new", path)
    print(path)


def require(holds, what):
    if not holds:
        sys.exit(f"wheel.py: does not hold: {what}")
    print(f"  {what}")


def check_structure(path):
    name, version, *tag = os.path.basename(path)[: -len(".whl")].split("-")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode())))
        recorded = {row[0]: row[1:] for row in rows}
        members = archive.namelist()
        require(len(rows) == len(recorded) == len(members) and set(recorded) == set(members), "RECORD names every file once, and no other")
        for member in members:
            content = archive.read(member)
            wanted = ["", ""] if member.endswith("/RECORD") else [digest(content), str(len(content))]
            if recorded[member] != wanted:
                sys.exit(f"wheel.py: does not hold: RECORD has the hash and size of {member}")
        print("  RECORD has the hash and size of each")
        tags = {f"{tag[0]}-{tag[1]}-{name}" for name in tag[2].split(".")}
        told = {line[len("Tag: "):] for line in archive.read(f"{info}/WHEEL").decode().splitlines() if line.startswith("Tag: ")}
        require(told == tags, "its tags are those of its name: " + ", ".join(sorted(tags)))
        script = archive.getinfo(f"{name}-{version}.data/scripts/{SCRIPT}")
        require(script.external_attr >> 16 & 0o111 == 0o111, f"{SCRIPT} is executable in it")
    return version


def runs_alone(program, url):
    "As on a host of any libc: nothing is there but itself, /proc and the names of hosts."
    with tempfile.TemporaryDirectory() as root:
        for name in ("proc", "etc"):
            os.mkdir(os.path.join(root, name))
        with open(os.path.join(root, "etc", "hosts"), "w") as hosts:
            hosts.write("127.0.0.1 localhost\n")
        shutil.copy(program, os.path.join(root, SCRIPT))
        inside = f'mount -t proc proc "$1/proc" && exec chroot "$1" /{SCRIPT} tools "$2"'
        command = ["unshare", "--mount", "sh", "-c", inside, "sh", root, url.replace("127.0.0.1", "localhost")]
        return subprocess.run(command, capture_output=True, timeout=60).returncode


def serve_and_call(program, server):
    """`berth-bridge -- SERVER`, and a call of its URL by the same program: as an author would, by names alone."""
    bridge = subprocess.Popen([program, "--json", "--"] + server, stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(bridge.stdout.readline() or "{}")
        require(ready.get("tools"), f"{SCRIPT} -- {' '.join(map(os.path.basename, server))} serves {ready.get('tools')} tools")
        answer = subprocess.run(
            [program, "call", ready["url"], "echo", '{"text": "through the wheel"}'], capture_output=True, text=True, timeout=60)
        require(answer.returncode == 0 and answer.stdout == "through the wheel\n", f"{SCRIPT} call URL echo answers")
        host = subprocess.run([program, "tools", ready["url"].replace("127.0.0.1", "localhost")], capture_output=True, text=True, timeout=60)
        require(host.returncode == 0, "localhost is found" + (": " + host.stderr if host.returncode else ""))
        if os.geteuid() == 0:
            require(runs_alone(program, ready["url"]) == 0, "and so it is in a root without any library")
    finally:
        bridge.terminate()
        status = bridge.wait(timeout=30)
    require(status == 0, "and ends with TERM")


def check(path, limit, server):
    print(os.path.basename(path))
    version = check_structure(path)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [os.path.join(folder, "bin", "python"), "-m", "pip"]
        subprocess.run(pip + ["install", "--quiet", "--no-index", "--disable-pip-version-check", path], check=True)
        program = os.path.join(folder, "bin", SCRIPT)
        said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        require(said == version + "\n", f"pip installs it from the file: {SCRIPT} {version}")
        linked = subprocess.run(["ldd", program], capture_output=True, text=True)
        require("not a dynamic executable" in linked.stdout + linked.stderr, "ldd: not a dynamic executable")
        size = os.path.getsize(program) / 1e6
        if limit:
            require(size < limit, f"{size:.1f} MB, under {limit:g} MB (the wheel: {os.path.getsize(path) / 1e6:.1f} MB)")
        serve_and_call(program, server)


def main(words):
    if words[:1] == ["build"] and len(words) == 4 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", words[2]):
        return build(*words[1:])
    if words[:1] == ["check"] and "--" in words:
        at = words.index("--")
        path, *options = words[1:at]
        if not options or (len(options) == 2 and options[0] == "--limit"):
            return check(path, float(options[1]) if options else None, words[at + 1 :])
    sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
