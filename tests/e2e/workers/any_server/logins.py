"""Logins that live in this process's memory, as in a servlet container: a cookie JSESSIONID names one."""
import http.cookies
import json
import os
import secrets

logins = {}


def app(environ, start_response):
    cookie = http.cookies.SimpleCookie(environ.get("HTTP_COOKIE", "")).get("JSESSIONID")
    headers = [("Content-Type", "application/json")]
    if environ["PATH_INFO"] == "/login":
        name = secrets.token_hex(16)
        logins[name] = 0
        headers.append(("Set-Cookie", f"JSESSIONID={name}; Path=/; HttpOnly"))
    else:
        name = cookie and cookie.value
    if name in logins:
        logins[name] += 1
    body = json.dumps({"pid": os.getpid(), "visits": logins.get(name)}).encode()
    headers.append(("Content-Length", str(len(body))))
    start_response("200 OK", headers)
    return [body]
