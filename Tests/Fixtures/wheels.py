"""A package index on loopback with one project, berth-demo, whose newest version GET /publish/N says. Prints {"port"}.

GET /age/SECONDS says how long ago the newest was published (`none`: nobody tells; all others are old), GET /lie has it tell what no index should.
Each version is a server in plain Python: 1.0 has the tool `version`, 2.0 describes it otherwise and has `more`, 3.0 ends at its start.
"""
import base64
import hashlib
import http.server
import io
import json
import time
import zipfile

SERVER = '''
import json
import sys

VERSION = %r
TOOLS = [{"name": "version", "description": "of version " + VERSION, "inputSchema": {"type": "object"}}]
if VERSION != "1.0":
    TOOLS.append({"name": "more", "description": "new", "inputSchema": {"type": "object"}})


def main():
    if VERSION == "3.0":
        sys.exit("this version does not start")
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "initialize":
            answer["result"] = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                                "serverInfo": {"name": "berth-demo", "version": VERSION}}
        elif message["method"] == "tools/list":
            answer["result"] = {"tools": TOOLS}
        elif message["method"] == "tools/call":
            answer["result"] = {"content": [{"type": "text", "text": VERSION}]}
        else:
            answer["error"] = {"code": -32601, "message": "no such method"}
        print(json.dumps(answer), flush=True)
'''


def wheel(version):
    info = f"berth_demo-{version}.dist-info"
    files = {
        "berth_demo.py": SERVER % version,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: berth-demo\nVersion: {version}\nLicense-Expression: MIT\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nberth-demo = berth_demo:main\n",
    }
    record = "".join(
        "%s,sha256=%s,%d\n" % (name, base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode(), len(text.encode()))
        for name, text in files.items())
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return result.getvalue()


wheels = {f"berth_demo-{number}.0-py3-none-any.whl": wheel(f"{number}.0") for number in (1, 2, 3)}
newest, age, lies = 1, 1 << 26, False


def upload_time(number):
    if age is None:
        return {}
    moment = time.time() - (age if number == newest else 1 << 26)
    return {"upload-time": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(moment))}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global newest, age, lies
        # A proxy hands the target on in its absolute form.
        path = self.path.split("://")[-1].split("/", 1)[-1].strip("/") if "://" in self.path else self.path.strip("/")
        if path.startswith("publish/"):
            newest = int(path.split("/")[1])
            self.answer(b"{}", "application/json")
        elif path.startswith("age/"):
            age = None if path == "age/none" else int(path[4:])
            self.answer(b"{}", "application/json")
        elif path == "lie":
            lies = True
            self.answer(b"{}", "application/json")
        elif path == "simple/berth-demo" and "vnd.pypi.simple.v1+json" in self.headers.get("Accept", ""):
            files = [
                {"filename": name, "url": "/files/" + name, "hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "size": len(data), **upload_time(index + 1)}
                for index, (name, data) in enumerate(wheels.items()) if index < newest]
            body = {"meta": {"api-version": "1.1"}, "name": "berth-demo", "versions": ["%d.0" % (number + 1) for number in range(newest)], "files": files}
            self.answer(json.dumps(body).encode(), "application/vnd.pypi.simple.v1+json")
        elif path.startswith("pypi/berth-demo/"):
            author = "Mallory\x1b[2J\x1b]0;owned\x07\u202egnp.exe" if lies else "Alice"
            info = {"ownership": {"organization": None, "roles": [{"role": "Owner", "user": "alice"}]}, "info": {"author": author}}
            self.answer(json.dumps(info).encode(), "application/json")
        elif path == "simple/berth-demo":
            links = [
                f'<a href="/files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>'
                for index, (name, data) in enumerate(wheels.items()) if index < newest]
            self.answer(f"<html><body>{''.join(links)}</body></html>".encode(), "text/html")
        elif path.startswith("files/") and path[6:] in wheels:
            self.answer(wheels[path[6:]], "application/octet-stream")
        else:
            self.send_error(404)

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
