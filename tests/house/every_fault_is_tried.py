"""Each fault of the list has one test in tests/faults, whose name begins with the fault's number.

A fault that limpet cannot meet yet, for want of a feature, has its test too: one that is skipped, and says why. A test
that tries a fault in a second way says which behind the number: "31, one allocation at a time: ...".
"""
import re

import house

FAULTS = [
    # Input
    "a silent client meets a deadline",
    "a head that drips meets a deadline for the whole of it",
    "a partial head spins nothing",
    "the worker's socket wakes at the first byte, as a new one does",
    "an oversize head is bounded",
    "a pipelined body is left unread, each byte of it",
    "NUL, a bare LF and a folded header are no request",
    "a sid that comes twice, or encoded, means one thing",
    "a sid in a cookie, a path or a body is none",
    "Content-Length beside Transfer-Encoding: the body is nobody's business",
    "an HTTP/2 preface is routed by address",
    "TLS on a plain port is recognised",
    "a ClientHello in pieces is waited for",
    "no SNI, ECH, wrong lengths: no name",
    "half-close behind the head",
    "FIN before the head is complete",
    "RST while limpet looks",
    "RST before the descriptor is sent",
    "a flood of connections that close at once",
    "a kept connection asks for another worker's session",
    "a PROXY header from somebody who is not trusted",
    "a PROXY header that is missing, or cut off",
    "a PROXY header in pieces",
    "a forged X-Forwarded-For",
    "garbage in X-Forwarded-For",
    "::ffff:a.b.c.d is a.b.c.d",
    "a whole office behind one address",
    "a flood of forged sids",
    # Resources, workers
    "no descriptor left: EMFILE, ENFILE",
    "accept fails: ECONNABORTED, ENOBUFS",
    "no memory",
    "SIGKILL with descriptors queued",
    "SIGSTOP",
    "a full channel",
    "a worker at its limit of descriptors",
    "ETOOMANYREFS",
    "messages that coalesce on a stream",
    "a descriptor that is closed here and open there still fires",
    "a crash loop",
    "all workers dead",
    "a drain that never ends",
    # Policies
    "a policy's error",
    "an answer that is no worker that can take it",
    "an endless loop",
    "a long call into C",
    "a memory bomb",
    "os, io, ffi, debug",
    # Operations
    "a broken or half-written policy file",
    "a policy that loads and fails when it is asked",
    "a storm of SIGHUP",
    "a reload in the middle of a hand-over",
    "very many reloads",
    "SIGKILL of limpet",
    "an upgrade that is never ready",
    "the clock jumps",
    "the log is full, or closed",
    "garbage on the control socket",
]

TEST = re.compile(r"^test\(\s*(?:['\"`](?:(\d+)(, [^:]+)?: )?)?", re.M)


def check(top, paths):
    tried = set()
    for path, line, match in house.lines_matching(top, paths, TEST):
        number = int(match[1] or 0)
        if not 1 <= number <= len(FAULTS):
            yield path, line, f"this test names no fault; begin its name with a number, 1: to {len(FAULTS)}:"
        elif match[2]:
            continue
        elif number in tried:
            yield path, line, f"fault {number} ({FAULTS[number - 1]}) is tried elsewhere too; make them one test"
        tried.add(number)
    for number, fault in enumerate(FAULTS, start=1):
        if number not in tried:
            yield "tests/faults", 1, f"nothing tries fault {number}: {fault}; write one, or a skipped one that says why"


def main():
    top, _ = house.arguments()
    paths = house.files(top, ".test.js", under=("tests/faults",))
    house.finish(check(top, paths), paths)


main()
