"""python-socketio, by ASGI."""
import os

import socketio

server = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(server)


@server.event
async def pid(sid, number):
    return {"pid": os.getpid(), "number": number}
