"""Greets on stdout before the first message, with a byte order mark, and ends its lines with CRLF."""
import json
import sys
import fixture


class Banner(fixture.Server):
    def send(self, message):
        with self.lock:
            sys.stdout.buffer.write(b"\xef\xbb\xbf" + json.dumps(message).encode() + b"\r\n")
            sys.stdout.buffer.flush()


print("*** Welcome to the banner server ***", flush=True)
Banner().run()
