"""A small npm registry on 127.0.0.1: npm_registry.py; prints {"port": N} as its first line.

It holds `berth-echo` (an MCP server on standard input and output, without a library but the next), `@berth/words` (its dependency, with a script
that would run at installation), `berth-tampered` (whose archive is not what its hash says), `berth-elsewhere` (whose archive lies at another
host), `berth-two` (two programs, none of its name), `berth-library` (none) and `berth-native` (its program is no script). GET /report tells
what was asked for. Every release is from 2024, but that of `berth-ecko`, which is a minute old.
"""
import base64
import gzip
import hashlib
import http.server
import io
import json
import sys
import tarfile
import threading
import time
import urllib.parse

SERVER = r"""#!/usr/bin/env node
const readline = require('node:readline'), fs = require('node:fs');
const { shout } = require('@berth/words');
const text = (id, text) => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
const answer = ({ id, method, params }) => {
  if (id === undefined) return;
  if (method === 'initialize')
    return { jsonrpc: '2.0', id, result: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'berth-echo', version: '1.2.0' } } };
  if (method === 'tools/list')
    return { jsonrpc: '2.0', id, result: { tools: ['echo', 'scripts', 'arguments'].map((name) => ({ name, inputSchema: { type: 'object' } })) } };
  if (method === 'tools/call' && params.name === 'echo') return text(id, shout(params.arguments.text));
  if (method === 'tools/call' && params.name === 'scripts') return text(id, String(fs.existsSync(require.resolve('@berth/words/package.json').replace('package.json', 'ran'))));
  if (method === 'tools/call' && params.name === 'arguments') return text(id, process.argv.slice(2).join(' ') + ' ' + process.version);
  return { jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } };
};
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const message = answer(JSON.parse(line));
  if (message) process.stdout.write(JSON.stringify(message) + '\n');
});
"""


def package(name, version, files, **fields):
    manifest = {"name": name, "version": version, **fields}
    data = io.BytesIO()
    with gzip.GzipFile(fileobj=data, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for path, content in {"package.json": json.dumps(manifest), **files}.items():
            info = tarfile.TarInfo("package/" + path)
            info.size, info.mode = len(content.encode()), 0o755
            tar.addfile(info, io.BytesIO(content.encode()))
    return manifest, data.getvalue()


PACKAGES = [
    package("berth-echo", "1.0.0", {"index.js": SERVER}, bin={"berth-echo": "index.js"}, dependencies={"@berth/words": "^1.0.0"}),
    package("berth-echo", "1.2.0", {"index.js": SERVER}, bin={"berth-echo": "./index.js"}, dependencies={"@berth/words": "^1.0.0"},
            devDependencies={"berth-nowhere": "1.0.0"}),
    package("@berth/words", "1.0.1", {"words.js": "exports.shout = (text) => text.toUpperCase();\n",
                                      "evil.js": "require('node:fs').writeFileSync(__dirname + '/ran', 'x');\n"},
            main="words.js", scripts={"install": "node evil.js"}),
    package("berth-tampered", "1.0.0", {"index.js": SERVER}, bin="index.js"),
    package("berth-elsewhere", "1.0.0", {"index.js": SERVER}, bin="index.js"),
    package("berth-two", "1.0.0", {"a.js": SERVER, "b.js": SERVER}, bin={"one": "a.js", "other": "b.js"}, dependencies={"@berth/words": "1.0.1"}),
    package("berth-library", "1.0.0", {"index.js": "module.exports = 1;\n"}, main="index.js"),
    package("berth-native", "1.0.0", {"run": "#!/bin/sh\nexec true\n"}, bin="run"),
    package("berth-ecko", "1.0.0", {"index.js": SERVER}, bin="index.js", dependencies={"@berth/words": "^1.0.0"}, author="Mallory\x1b[2J"),
    package("berth-git", "1.0.0", {"index.js": SERVER}, bin="index.js", dependencies={"x": "git+https://git.example/x.git"}),
]
OTHER = package("berth-tampered", "1.0.0", {"index.js": "evil"})[1]
asked, lock = [], threading.Lock()


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
        with lock:
            asked.append(path)
        if path == "report":
            return self.send(200, json.dumps({"asked": asked}).encode())
        origin = "http://127.0.0.1:%d" % self.server.server_address[1]
        versions = {}
        for manifest, data in PACKAGES:
            name, tarball = manifest["name"], manifest["name"] + "/-/" + manifest["version"] + ".tgz"
            if path == tarball:
                return self.send(200, OTHER if name == "berth-tampered" else data, "application/octet-stream")
            if name == path:
                host = "http://127.0.0.1:9" if name == "berth-elsewhere" else origin
                versions[manifest["version"]] = dict(
                    manifest, hasInstallScript="install" in manifest.get("scripts", {}),
                    dist={"tarball": host + "/" + tarball, "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
                          "shasum": hashlib.sha1(data).hexdigest()})
        if not versions:
            return self.send(404, b'{"error":"not found"}')
        body = {"name": path, "dist-tags": {"latest": list(versions)[-1]}, "versions": versions, "maintainers": [{"name": "alice"}],
                "time": {version: time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 60)) if path == "berth-ecko" else "2024-01-01T00:00:00.000Z"
                         for version in versions}}
        self.send(200, json.dumps(body).encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
