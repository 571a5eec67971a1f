"""Its first process is one server, each later one another: python changes.py MARK FIRST LATER [ARGUMENT ...], a file and two servers."""
import os
import runpy
import sys

mark, first, later = sys.argv[1:4]
is_first = not os.path.exists(mark)
open(mark, "a").close()
sys.argv = [first] if is_first else sys.argv[3:]
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), sys.argv[0]), run_name="__main__")
