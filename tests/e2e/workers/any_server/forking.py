"""
Python's own socketserver with blocking accept: forking.py PORT fork|thread. Each connection is served by a process, or a
thread, of its own. It listens on another port of its own too, and says which; and each request is passed through there.
And each runs a program, by vfork(2) where this Python has it.
"""
import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading


def repeat(listener):
    """Send back whatever comes, as a neighbour would."""
    while True:
        connection, _ = listener.accept()
        with connection:
            while received := connection.recv(4096):
                connection.sendall(received)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        subprocess.run(["true"], check=True)
        with socket.create_connection(neighbour.getsockname()) as other:
            other.sendall(self.path.encode())
            path = other.recv(4096).decode()
        peer = self.client_address
        ttl = server.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        body = json.dumps({"pid": os.getpid(), "parent": os.getppid(), "path": path, "peer": peer, "ttl": ttl}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


MIXINS = {"fork": socketserver.ForkingMixIn, "thread": socketserver.ThreadingMixIn}


class Server(MIXINS[sys.argv[2]], socketserver.TCPServer):
    allow_reuse_address = True


neighbour = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=repeat, args=(neighbour,), daemon=True).start()
# In one write: with PYTHONUNBUFFERED print writes its words one by one, and two workers share the output.
os.write(1, b"neighbour at %d\n" % neighbour.getsockname()[1])
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
while True:
    server.handle_request()
