"""A file includes only downward, in the order of LAYERS, and headers include each other in no circle.

core/tools, the commands that try policies, stands on route and policy: it sees nothing above them, and only main sees it.

core/client is what a foreign program links, core/preload what is put in front of one: of the core they see the frames
and the slices these are made of, of the public headers all but the balancer's.
"""
import house

LAYERS = ["base", "wire", "keeper", "route", "policy", "connection", "broker", "worker", "admin", "server", "main"]
TOOLS = "core/tools/"
TOOLS_SEE = ("core/base/", "core/route/", "core/policy/", TOOLS)
CLIENT = ("core/client/", "core/preload/", "core/wire/")
CLIENT_SEES = ["core/base/slice.h", "core/wire/frame.h", "core/wire/placeholder.h", "core/wire/scm_rights.h", "include/limpet/export.h", "include/limpet/version.h",
               "include/limpet/worker.h"]


def layer_of(path):
    """A file's place in LAYERS; None of the client and the public headers."""
    name = "main" if path == "core/main.c" else path.split("/")[1]
    return LAYERS.index(name) if path.startswith("core/") and name in LAYERS else None


def read_includes(top):
    """{path: [(line, "quoted" or <so>, what, which of our files that is or None)]}"""
    paths = house.files(top, ".c", ".h", under=("core", "include"))
    includes = {path: [] for path in paths}
    for path, line, match in house.lines_matching(top, paths, house.INCLUDE):
        ours = [name for name in (f"core/{match[2]}", f"include/{match[2]}") if name in includes]
        includes[path].append((line, match[1], match[2], ours[0] if ours else None))
    return includes


def check_direction(includes):
    for path, lines in includes.items():
        mine = layer_of(path)
        for line, quote, what, ours in lines:
            theirs = layer_of(ours) if ours else None
            if quote == '"' and not ours:
                yield path, line, f'"{what}" is neither in core/ nor in include/; write the path from there, "route/head.h"'
            elif ours and ours.startswith("core/") and path.startswith("include/"):
                yield path, line, f'a public header includes "{what}", which is not installed; declare what it needs'
            elif mine is not None and theirs is not None and theirs > mine:
                yield path, line, (f'{LAYERS[mine]} includes "{what}", which is above it; send the news up by a callback, or '
                                   'move down what both need')


def check_tools(includes):
    for path, lines in includes.items():
        for line, _, what, ours in lines:
            if path.startswith(TOOLS) and (ours or "").startswith("core/") and not ours.startswith(TOOLS_SEE):
                yield path, line, f'tools includes "{what}"; of the core it sees base, route and policy'
            elif (ours or "").startswith(TOOLS) and not path.startswith((TOOLS, "core/main.c")):
                yield path, line, f'"{what}" is of tools, which only main.c sees; move down what both need'


def check_client(includes):
    seen, waiting = set(), [path for path in includes if path.startswith(CLIENT)]
    while waiting:
        path = waiting.pop()
        for line, _, what, ours in includes[path]:
            if not ours or ours in seen or ours.startswith(CLIENT):
                continue
            seen.add(ours)
            if ours in CLIENT_SEES:
                waiting.append(ours)
            else:
                yield path, line, f'the client comes to see "{what}"; all it may is {", ".join(CLIENT_SEES)}'


def check_circles(includes):
    done = set()

    def visit(path, trail):
        for line, _, _, ours in includes[path]:
            if ours in trail:
                circle = " -> ".join(trail[trail.index(ours):] + [ours])
                yield path, line, f"includes go in a circle, {circle}; break it with a declaration"
            elif ours and ours not in done:
                yield from visit(ours, trail + [ours])
        done.add(path)

    for path in includes:
        if path not in done:
            yield from visit(path, [path])


def main():
    top, _ = house.arguments()
    includes = read_includes(top)
    checks = (check_direction, check_tools, check_client, check_circles)
    house.finish([finding for check in checks for finding in check(includes)], includes)


if __name__ == "__main__":
    main()
