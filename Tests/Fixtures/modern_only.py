"""A server of the stateless revision that does to `initialize` what its argument says: silent or exit."""
import os
import sys
import modern


class Only(modern.Modern):
    def initialize(self, message):
        if sys.argv[1] == "exit":
            os._exit(3)


Only().run()
