"""package-lock.json pins what is installed and not where it comes from, so that everyone's own registry serves."""
import re

import house

ADDRESS = re.compile(r'"resolved"\s*:')


def main():
    top, _ = house.arguments()
    paths = house.files(top, "package-lock.json")
    house.finish([(path, line, "a download address; npm install --omit-lockfile-registry-resolved writes none")
                  for path, line, _ in house.lines_matching(top, paths, ADDRESS)], paths)


main()
