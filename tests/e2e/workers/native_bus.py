"""
A worker in the native dialect that says what it is told to: the body of a request is a frame (include/limpet/worker.h) that
it sends to limpet. `GET /` answers with its id and with all frames that came to it, in order.
"""
import json
import os
import selectors
import socket

WORKER = int(os.environ["LIMPET_WORKER_ID"])
channel = socket.socket(fileno=int(os.environ["LIMPET_CHANNEL_FD"]))
selector = selectors.DefaultSelector()
heard = []


def serve(connection):
    connection.settimeout(10)
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while length and len(body) < length[0]:
        body += connection.recv(65536)
    if body:
        channel.send(body)
    answer = json.dumps({"worker": WORKER, "pid": os.getpid(), "heard": heard}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer))
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


channel.send(b"ready")
channel.send(b"ack 0 0")
while True:
    message, descriptors, _, _ = socket.recv_fds(channel, 65536, 1, socket.MSG_CMSG_CLOEXEC)
    word, _, number = message.partition(b" ")
    if word in (b"", b"drain"):
        break
    if word == b"connection":
        channel.send(b"ack %s 1" % number)
        serve(socket.socket(fileno=descriptors[0]))
        channel.send(b"ack %s 0" % number)
    else:
        heard.append(message.decode())
