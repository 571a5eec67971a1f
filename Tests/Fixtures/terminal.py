"""Runs a command on a terminal of its own: python terminal.py 'LINE|LINE' COMMAND …; types a line at every prompt, prints what it said."""
import os, pty, sys

lines, command = [line for line in sys.argv[1].split("|")], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
said = b""
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:
        break
    if not chunk:
        break
    said += chunk
    sys.stdout.buffer.write(chunk)
    if said.endswith(b": ") and lines:
        said = b""
        line = lines.pop(0)
        os.write(terminal, b"\x03" if line == "^C" else line.encode() + b"\n")
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
