"""No two files of core/ call each other, directly or through others: a file can be read, tested and changed without those that
call it.

A call is the name of a public function with a bracket after it. Passing a function on, or calling through a pointer, is none:
that is how news goes up. The functions that the preload library puts in front of the C library's are not looked at: whoever calls
close(2) there calls it by design.

TOGETHER has the files that may call each other, each group with its reason. A group that no longer needs to be there is a finding.
"""
import re

import house

TOGETHER = [
    # A slot is one record and one state machine. Its files are parts of one unit, cut by subject, which all move that record.
    {"core/worker/delivery.c", "core/worker/node_process.c", "core/worker/shutdown.c", "core/worker/slot.c", "core/worker/slot_program.c",
     "core/worker/stuck.c"},
    # Node's protocol on one channel: messages (node.c) about servers, and about what else has a descriptor.
    {"core/worker/node.c", "core/worker/node_handles.c", "core/worker/node_servers.c"},
    # Who begins to wait may push out another, and who is pushed out ceases to wait.
    {"core/server/closing.c", "core/server/waiting_list.c"},
]

# Comments, and texts in quotes, in which a name is no call.
PASSED_OVER = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
DEFINITION = re.compile(r"^(?!static\b|typedef\b|extern\b)[A-Za-z_][\w \t*]*?\b((?:lp|limpet)_\w+)\([^;{}]*\)\n\{", re.M)
CALL = re.compile(r"\b((?:lp|limpet)_\w+)\(")


def read_calls(top, paths):
    """{path: {path that it calls: (line, function), the first of them}}"""
    texts = {path: PASSED_OVER.sub(lambda match: "\n" * match[0].count("\n"), house.read(top, path)) for path in paths}
    home = {match[1]: path for path, text in texts.items() for match in DEFINITION.finditer(text)}
    calls = {path: {} for path in paths}
    for path, text in texts.items():
        for match in CALL.finditer(text):
            there = home.get(match[1], path)
            if there != path:
                calls[path].setdefault(there, (house.line_of(text, match.start()), match[1]))
    return calls


def reachable(calls, start):
    """All files that this one calls, directly or through others."""
    seen, waiting = set(), [start]
    while waiting:
        for there in calls[waiting.pop()]:
            if there not in seen:
                seen.add(there)
                waiting.append(there)
    return seen


def check_cycles(calls):
    reach = {path: reachable(calls, path) for path in calls}
    for path, theirs in calls.items():
        for there, (line, function) in theirs.items():
            if path in reach[there] and not any({path, there} <= group for group in TOGETHER):
                yield path, line, (f"{function}() of {there} is part of a cycle of calls; move what both need to a file of its own, "
                                   "or send the news up by a callback")


def check_groups(calls):
    for group in TOGETHER:
        if not group & set(calls):
            continue
        for path in sorted(group):
            within = {there for there in reachable({at: set(calls.get(at, ())) & group for at in group}, path)}
            if path not in within:
                yield path, 1, "is in no cycle of calls any more; take it out of TOGETHER in tests/house/calls_go_one_way.py"


def main():
    top, _ = house.arguments()
    paths = house.files(top, ".c", under=("core",))
    calls = read_calls(top, paths)
    house.finish([*check_cycles(calls), *check_groups(calls)], paths)


main()
