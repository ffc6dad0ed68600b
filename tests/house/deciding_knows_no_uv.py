"""route and policy decide and know nothing of libuv, the client has no loop, and no header of base brings libuv into either. Whatroute sees of uv.h it sees through limpet/balancer.h, for the options.
"""
import re

import house

UV = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]uv(?:\.h|/)|\buv_\w+\s*\(', re.M)


def main():
    top, _ = house.arguments()
    paths = house.files(top, ".c", ".h", under=("core/route", "core/policy", "core/client", "core/wire")) + house.files(top, ".h", under=("core/base",))
    house.finish([(path, line, "libuv is for worker and server; take what is needed as an argument or a callback")
                  for path, line, _ in house.lines_matching(top, paths, UV)], paths)


main()
