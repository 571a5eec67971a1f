"""Prints lines that are no messages and exits; its first process prints many: python prints.py MARK, a file."""
import os
import sys

is_first = not os.path.exists(sys.argv[1])
open(sys.argv[1], "a").close()
sys.stdin.readline()
for number in range(25 if is_first else 1):
    print("%s %d" % ("first" if is_first else "later", number))
print('{"jsonrpc":"2.0","id":"nobody asked","result":{}}', flush=True)
sys.exit(3)
