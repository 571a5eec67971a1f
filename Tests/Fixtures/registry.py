"""Debian's docker-registry on 127.0.0.1, filled from layouts: registry.py FOLDER NAME=LAYOUT…; prints {"plain", "front", "elsewhere"} (ports).

`plain` is the registry itself. `front` stands before it as public registries are: it asks for a token (of its own /token, or of another port
for names that begin with `away/`), and hands blobs out by a redirect to another port; for names that begin with `lost/` to `localhost`, which
is another name for a private address. Names that begin with `closed/` are for a user and a password (alice, s3cret-of-a-registry), those that begin
with `private/` for a token that only they give. There a request that still carries the token is refused. GET /report on `front` tells what was asked.
"""
import base64
import ctypes
import hashlib
import http.client
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

folder, layouts = sys.argv[1], dict(text.split("=") for text in sys.argv[2:])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    plain = free.getsockname()[1]
with open(folder + "/config.yml", "w") as file:
    file.write("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/store}}\nhttp: {addr: '127.0.0.1:%d'}\n" % (folder, plain))
registry = subprocess.Popen(["/usr/bin/docker-registry", "serve", folder + "/config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, 9))  # it ends with this process, however that ends
base = "http://127.0.0.1:%d" % plain


def send(method, url, data=None, kind="application/octet-stream"):
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    with urllib.request.urlopen(request) as answer:
        return answer.headers.get("Location")


for _ in range(600):
    try:
        send("GET", base + "/v2/")
        break
    except OSError:
        time.sleep(0.1)

for name, layout in layouts.items():
    blobs = layout + "/blobs/sha256/"

    def data(descriptor):
        with open(blobs + descriptor["digest"][7:], "rb") as file:
            return file.read()

    def push(descriptor, reference):
        document = json.loads(data(descriptor))
        for inner in document.get("manifests", []):
            push(inner, inner["digest"])
        for blob in document.get("layers", []) + ([document["config"]] if "config" in document else []):
            place = urllib.parse.urljoin(base, send("POST", "%s/v2/%s/blobs/uploads/" % (base, name), b""))
            send("PUT", place + ("&" if "?" in place else "?") + urllib.parse.urlencode({"digest": blob["digest"]}), data(blob))
        send("PUT", "%s/v2/%s/manifests/%s" % (base, name, reference), data(descriptor), descriptor["mediaType"])

    with open(layout + "/index.json") as file:
        for descriptor in json.load(file)["manifests"]:
            push(descriptor, descriptor.get("annotations", {}).get("org.opencontainers.image.ref.name", "latest"))

asked, lock = [], threading.Lock()
LOGIN = "Basic " + base64.b64encode(b"alice:s3cret-of-a-registry").decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def parse_request(self):
        found = super().parse_request()
        if found and self.path.startswith("http://"):
            # As a proxy asks.
            self.path = "/" + self.path.split("/", 3)[3]
        return found

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forward(self):
        connection = http.client.HTTPConnection("127.0.0.1", plain)
        connection.request("GET", self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
        found = connection.getresponse()
        body = found.read()
        if "/lying/" in self.path and "/blobs/" in self.path:
            body = body[:-1] + b"\0"
        self.answer(found.status, body, content_type=found.headers.get("Content-Type", ""))

    def log_message(self, *_):
        pass


class Front(Handler):
    def do_GET(self):
        with lock:
            asked.append(self.path)
        here, there = self.server.server_address[1], elsewhere.server_address[1]
        if self.path == "/report":
            return self.answer(200, json.dumps({"asked": asked}).encode())
        if self.path.startswith("/private-token?") and self.headers.get("Authorization") != LOGIN:
            return self.answer(401)
        if self.path.startswith(("/token?", "/private-token?")):
            return self.answer(200, json.dumps({"token": hashlib.sha256(b"secret").hexdigest()}).encode())
        if "/closed/" in self.path and self.headers.get("Authorization") == LOGIN:
            pass
        elif self.headers.get("Authorization") != "Bearer " + hashlib.sha256(b"secret").hexdigest():
            if "/closed/" in self.path:
                return self.answer(401, WWW_Authenticate='Basic realm="x"')
            realm = "http://127.0.0.1:%d/%stoken" % (there if "/away/" in self.path else here, "private-" if "/private/" in self.path else "")
            return self.answer(401, WWW_Authenticate='Bearer realm="%s",service="berth",scope="pull"' % realm)
        if "/blobs/" in self.path and "/lying/" not in self.path:
            host = "localhost" if "/lost/" in self.path else "127.0.0.1"
            return self.answer(307, Location="http://%s:%d%s" % (host, there, self.path))
        self.forward()


class Elsewhere(Handler):
    def do_GET(self):
        with lock:
            asked.append("elsewhere " + self.path)
        if self.path.startswith("/token?"):
            return self.answer(200, json.dumps({"access_token": hashlib.sha256(b"secret").hexdigest()}).encode())
        if self.headers.get("Authorization"):
            return self.answer(400)
        self.forward()


front, elsewhere = (http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Front, Elsewhere))
for server in (front, elsewhere):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"plain": plain, "front": front.server_address[1], "elsewhere": elsewhere.server_address[1]}), flush=True)
registry.wait()
