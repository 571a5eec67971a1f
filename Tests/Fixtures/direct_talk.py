"""A talk with a STDIO server, nothing between: python direct_talk.py '{"command": […], "environment": {…}, "requests": [[METHOD, {…}], …]}'.

First `server/discover`, as the bridge does for modern clients; a server that answers it is spoken to as modern, any other as legacy. With
`"handshake": true` as legacy, as it does for the others. Prints one JSON
object: the era, the server's own bytes of the tool list and of each answer's `content` or `error`, the count of bytes on standard
error."""
import json, re, subprocess, sys, threading

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
          "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Talk:
    def __init__(self, command, environment):
        self.child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.last, self.errors, self.is_modern = 0, 0, True
        self.drain = threading.Thread(target=self.read_errors)
        self.drain.start()

    def read_errors(self):
        while chunk := self.child.stderr.read1(65536):
            self.errors += len(chunk)

    def send(self, message):
        self.child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.child.stdin.flush()

    def ask(self, method, params):
        """The line that answers, as text."""
        self.last += 1
        if self.is_modern:
            params = {**params, "_meta": MODERN}
        self.send({"id": self.last, "method": method, "params": params})
        while line := self.child.stdout.readline():
            if json.loads(line).get("id") == self.last:
                return line.decode()
        raise SystemExit("the server ended, status %s" % self.child.wait())

    def start(self, handshake):
        versions = [] if handshake else json.loads(self.ask("server/discover", {})).get("result", {}).get("supportedVersions", [])
        self.is_modern = "2026-07-28" in versions
        if not self.is_modern:
            self.ask("initialize", HELLO)
            self.send({"method": "notifications/initialized"})

    def end(self):
        self.child.stdin.close()
        self.child.wait()
        self.drain.join()


def span(line, *keys):
    """The bytes that the server wrote for that member, found without writing them anew."""
    value, decoder = json.loads(line), json.JSONDecoder()
    for key in keys:
        value = value[key]
    for match in re.finditer('"%s"\\s*:\\s*' % keys[-1], line):
        found, end = decoder.raw_decode(line, match.end())
        if found == value:
            return line[match.end():end]
    raise SystemExit("no %s in %s" % (keys, line[:200]))


def main():
    wanted = json.loads(sys.argv[1])
    talk = Talk(wanted["command"], wanted["environment"])
    try:
        talk.start(wanted["handshake"])
        tools = span(talk.ask("tools/list", {}), "result", "tools")
        lines = [talk.ask(method, params) for method, params in wanted["requests"]]
        answers = [span(line, "error") if "error" in json.loads(line) else span(line, "result", "content") for line in lines]
    except BaseException:
        talk.child.kill()
        raise
    talk.end()
    print(json.dumps({"era": "modern" if talk.is_modern else "legacy", "tools": tools, "answers": answers, "errors": talk.errors}))


main()
