"""Dies at the first words that come after SIGUSR1: it has waited too long for them."""
import os
import signal
import fixture


def say(word):
    # Not sys.stderr: a signal in the middle of its write would enter it a second time.
    os.write(2, word.encode() + b"\n")


class Late(fixture.Server):
    spoken = weary = False

    def wear_out(self, *_):
        self.weary = True
        say("weary")

    def received(self, message):
        if not self.spoken and self.weary:
            os._exit(4)
        self.spoken = True
        super().received(message)


server = Late()
signal.signal(signal.SIGUSR1, server.wear_out)
say("started")
server.run()
