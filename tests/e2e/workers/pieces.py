"""
A worker in the dialect of @socket.io/sticky that does not care how the bytes of its messages leave. It says NODE_HANDLE_ACK
and a session for each connection, and answers it with "whole" and the end. $MANNER is how it writes:

    byte by byte
    in odd pieces               each ends inside a message
    all together                what $TOGETHER connections have to be told, in one go
    between giants and garbage  with a message of 5 MB, which is too long, and lines that are no JSON, around each
"""
import json
import os
import socket

MANNER = os.environ["MANNER"]
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))
channel.setblocking(True)


def write(text):
    data = text.encode()
    if MANNER == "byte by byte":
        for i in range(len(data)):
            channel.sendall(data[i:i + 1])
    elif MANNER == "in odd pieces":
        while data:
            size = 1 + len(data) % 7
            channel.sendall(data[:size])
            data = data[size:]
    elif MANNER == "between giants and garbage":
        giant = json.dumps({"type": "giant", "data": "x" * 5_000_000}) if write.count == 0 else ""
        channel.sendall(giant.encode() + b'\n}{\0\xff\n[]\n' + data + b'"word"\nnull\n{"cmd":7}\n{"type":[]}\n')
        write.count += 1
    else:
        channel.sendall(data)


write.count = 0
waiting = []
last = int(os.environ["TOGETHER"])


def finish():
    global waiting
    write("".join('{"cmd":"NODE_HANDLE_ACK"}\n' + json.dumps({"type": "sticky:connection", "data": f"session{n}"}) + "\n"
                  for n, _ in waiting))
    for _, connection in waiting:
        connection.setblocking(True)
        while not connection.recv(65536).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole")
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    waiting = []


write('{"cmd":"NODE_CLUSTER","act":"online","seq":0}\n')
count = 0
text = b""
while True:
    got, descriptors, _, _ = socket.recv_fds(channel, 65536, 1)
    if not got or b'"disconnect"' in got:
        break
    if descriptors:
        count += 1
        waiting.append((count, socket.socket(fileno=descriptors[0])))
        if MANNER != "all together" or count >= last:
            finish()
