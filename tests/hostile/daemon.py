"""A server as old daemons are: it leaves the process that started it, leads a session of its own, and its children, which serve,
are another user's. A child that ends is replaced. Words: the port, and how many children.
"""
import json
import os
import signal
import socket
import sys

PORT, CHILDREN = int(sys.argv[1]), int(sys.argv[2])
USER = 65534

# The parent waits, as a shell would, for something that never comes: it is what limpet has started.
if os.fork():
    signal.pause()
os.setsid()
if os.fork():
    os._exit(0)

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", PORT))
listener.listen(64)


def serve():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    while True:
        client, _ = listener.accept()
        client.recv(65536)
        body = json.dumps({"pid": os.getpid(), "uid": os.getuid(), "parent": os.getppid()}).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        client.close()


for _ in range(CHILDREN):
    if not os.fork():
        serve()
while True:
    os.wait()
    if not os.fork():
        serve()
