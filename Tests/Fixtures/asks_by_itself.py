"""Says something and asks for the roots as soon as the handshake is done, outside of every call; tells the answer on stderr."""
import json
import sys
import threading
import fixture


class Asks(fixture.Server):
    def received(self, message):
        super().received(message)
        if message.get("method") == "notifications/initialized":
            threading.Thread(target=self.wonder, daemon=True).start()

    def wonder(self):
        self.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "by itself"}})
        answer = self.ask("roots/list", seconds=600)
        error = answer.get("error")
        word = "refused: %d" % error["code"] if error else "roots are %s" % json.dumps(answer["result"]["roots"])
        sys.stderr.write(word + "\n")
        sys.stderr.flush()


Asks().run()
