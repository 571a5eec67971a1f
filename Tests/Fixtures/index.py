"""A package index on loopback with one source distribution, whose setup.py attacks the machine that builds it.

index.py FILE: the attack tries to write FILE and to connect to a second port of this process. Prints one JSON line with
both ports. GET /report tells which projects were asked for and how many connections reached the second port.
"""
import hashlib
import http.server
import io
import json
import socket
import sys
import tarfile
import threading

NAME, VERSION = "berth-evil", "1.0"
SETUP = '''
import os, socket, sys

FILE, PORT = %r, %d


def attempt(name, act):
    try:
        act()
        print("attack", name, "POSSIBLE", file=sys.stderr)
    except (OSError, ValueError) as error:
        print("attack", name, "refused:", error, file=sys.stderr)


def write(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("here")


def connect(host):
    socket.create_connection((host, PORT), 5).close()


def tunnel():
    with socket.create_connection(("127.0.0.1", 3128), 5) as proxy:
        proxy.sendall(b"CONNECT 127.0.0.1:%%d HTTP/1.1\\r\\n\\r\\n" %% PORT)
        answer = proxy.recv(4096).split(b"\\r\\n")[0].decode()
    if " 200" not in answer:
        raise ValueError(answer)


def control():
    sockets = [os.path.join(folder, name) for folder, _, names in os.walk("/run/berth") for name in names if name.endswith(".sock")]
    for path in sockets:
        if not path.endswith("egress.sock"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            return
    raise ValueError("only %%d sockets are there" %% len(sockets))


attempt("write-file", lambda: write(FILE))
attempt("write-etc", lambda: write("/etc/berth-evil"))
attempt("connect-loopback", lambda: connect("127.0.0.1"))
attempt("connect-host", lambda: connect(%r))
attempt("tunnel", tunnel)
attempt("control-socket", control)
sys.exit("setup.py has ended")
'''
BACKEND = "import runpy\n\n\ndef build_wheel(*arguments):\n    runpy.run_path('setup.py')\n"
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def host_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def distribution(target, port):
    files = {
        "PKG-INFO": f"Metadata-Version: 1.0\nName: {NAME}\nVersion: {VERSION}\n",
        "pyproject.toml": PROJECT,
        "backend.py": BACKEND,
        "setup.py": SETUP % (target, port, host_address()),
    }
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"berth_evil-{VERSION}/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return result.getvalue()


class Trap(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("0.0.0.0", 0))
        self.port = self.listener.getsockname()[1]
        self.hits = 0

    def run(self):
        while True:
            client, _ = self.listener.accept()
            self.hits += 1
            client.close()


trap = Trap()
trap.start()
sdist = distribution(sys.argv[1], trap.port)
asked = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # A proxy hands the target on in its absolute form.
        path = self.path.split("://")[-1].split("/", 1)[-1].strip("/") if "://" in self.path else self.path.strip("/")
        asked.append(path)
        if path == "report":
            self.answer(json.dumps({"asked": asked, "trap": trap.hits}).encode(), "application/json")
        elif path == f"simple/{NAME}" and "vnd.pypi.simple.v1+json" in self.headers.get("Accept", ""):
            file = {"filename": f"berth_evil-{VERSION}.tar.gz", "url": f"/files/berth_evil-{VERSION}.tar.gz", "size": len(sdist),
                    "hashes": {"sha256": hashlib.sha256(sdist).hexdigest()}, "upload-time": "2024-01-01T00:00:00.000000Z"}
            body = {"meta": {"api-version": "1.1"}, "name": NAME, "versions": [VERSION], "files": [file]}
            self.answer(json.dumps(body).encode(), "application/vnd.pypi.simple.v1+json")
        elif path == f"simple/{NAME}":
            digest = hashlib.sha256(sdist).hexdigest()
            file = f"berth_evil-{VERSION}.tar.gz"
            self.answer(f'<html><body><a href="/files/{file}#sha256={digest}">{file}</a></body></html>'.encode(), "text/html")
        elif path.startswith("files/"):
            self.answer(sdist, "application/octet-stream")
        else:
            self.send_error(404)

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"port": server.server_address[1], "trap": trap.port}), flush=True)
server.serve_forever()
