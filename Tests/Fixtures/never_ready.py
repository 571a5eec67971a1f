"""Starts, says what it waits for, and never answers."""
import sys
import time

sys.stderr.write("waiting for a database\n")
sys.stderr.flush()
time.sleep(600)
