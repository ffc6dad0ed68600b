"""python-socketio, by aiohttp: chat_aiohttp.py PORT, or without one on descriptor 3."""
import os
import socket
import sys

import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp")
app = web.Application()
server.attach(app)


@server.event
async def pid(sid, number):
    return {"pid": os.getpid(), "number": number}


where = {"host": "127.0.0.1", "port": int(sys.argv[1])} if sys.argv[1:] else {"sock": socket.socket(fileno=3)}
web.run_app(app, print=None, **where)
