"""
A server at a port whose worker 1 takes a connection and, once the file `go` exists, reads its request, sets SO_LINGER, fills
the connection and closes it: whoever closes it last waits for a client that does not read. Others answer.
"""
import os
import socket
import struct
import sys
import time

LINGER_S = 20

server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    if os.environ["LIMPET_WORKER_ID"] != "1":
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        continue
    os.write(1, b"taken\n")
    while not os.path.exists("go"):
        time.sleep(0.005)
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_S))
    connection.setblocking(False)
    try:
        while True:
            connection.send(b"x" * 65536)
    except BlockingIOError:
        connection.close()
    os.write(1, b"filled\n")
