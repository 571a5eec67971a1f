"""Never answers a method it does not know, and says on stderr that it was asked."""
import sys
import fixture


class Silent(fixture.Server):
    def other(self, message):
        sys.stderr.write("asked: " + message.get("method", "") + "\n")
        sys.stderr.flush()


Silent().run()
