"""Its first process is of the stateless revision only, each later one of the handshake only: python changes_era.py MARK, a file."""
import os
import sys
import fixture
import modern


class Former(fixture.Server):
    def other(self, message):
        if message["method"] == "server/discover":
            return self.refuse(message["id"], -32602, "Received request before initialization was complete")
        super().other(message)


is_first = not os.path.exists(sys.argv[1])
open(sys.argv[1], "a").close()
(modern.Modern if is_first else Former)().run()
