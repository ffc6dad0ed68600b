"""
A server that takes what others refuse: tolerant.py PORT. A request is a head up to an empty line, and the bytes that its
last Content-Length says. Each connection has a thread.
"""
import json
import os
import re
import socket
import sys
import threading


def serve(connection):
    stream = connection.makefile("rb")
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.read(1)
            if not byte:
                connection.close()
                return
            head += byte
        lengths = re.findall(rb"(?im)^content-length: *(\d+)", head)
        body = stream.read(int(lengths[-1])) if lengths else b""
        text = json.dumps({"pid": os.getpid(), "received": len(body)}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


listener = socket.socket()
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
