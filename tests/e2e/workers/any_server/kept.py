"""
A server that keeps connections, with a thread for each: kept.py ADDRESS..., each a port or a path. It answers each request
with its process and the number of its listener. While the file `hold` exists, a process that takes a connection stops
before it reads from it, as if it were killed there.
"""
import json
import os
import signal
import socket
import sys
import threading


def listen(address):
    if address.isdigit():
        return socket.create_server(("127.0.0.1", int(address)))
    listener = socket.socket(socket.AF_UNIX)
    if os.path.exists(address):
        os.remove(address)
    listener.bind(address)
    listener.listen()
    return listener


def serve(connection, number):
    with connection, connection.makefile("rb") as requests:
        while requests.readline():
            while requests.readline() not in (b"\r\n", b""):
                pass
            body = json.dumps({"pid": os.getpid(), "server": number}).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def accept_for_ever(listener, number):
    while True:
        connection, _ = listener.accept()
        if os.path.exists("hold"):
            os.write(1, b"holds %d\n" % os.getpid())
            os.kill(os.getpid(), signal.SIGSTOP)
        threading.Thread(target=serve, args=(connection, number), daemon=True).start()


threads = [
    threading.Thread(target=accept_for_ever, args=(listen(address), number + 1), daemon=True)
    for number, address in enumerate(sys.argv[1:])
]
for thread in threads:
    thread.start()
signal.pause()
