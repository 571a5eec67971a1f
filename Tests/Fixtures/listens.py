"""Listens at a port of this host and answers what it is told: `hello: …`. listens.py PORT [CERTIFICATE KEY]; port 0 takes a free one.

Says the port on standard output. Ends with its standard input."""
import socket
import ssl
import sys
import threading

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
# Two runs of a test may want the one port that has a meaning.
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("0.0.0.0", int(sys.argv[1])))
listener.listen(64)
context = None
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
print(listener.getsockname()[1], flush=True)


def serve(connection):
    try:
        with connection:
            if context: connection = context.wrap_socket(connection, server_side=True)
            with connection:
                connection.sendall(b"hello: " + connection.recv(65536))
    except OSError:
        pass


def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
