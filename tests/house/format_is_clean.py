"""The C is as clang-format and .clang-format have it. Versions format differently, so only one of them is asked."""
import os
import re
import shutil
import subprocess
import sys

import house

VERSION = "14"  # Debian 12's.


def find_formatter():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        if shutil.which(name):
            said = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
            if re.search(rf"version {VERSION}\.", said):
                return name
    return None


def main():
    top, _ = house.arguments()
    formatter = find_formatter()
    if not formatter:
        print(f"there is no clang-format {VERSION} here")
        sys.exit(house.SKIPPED)
    if not os.path.exists(os.path.join(top, ".clang-format")):
        house.finish([(".clang-format", 1, "is not there; the house's format is written in it")], [top])
    paths = house.files(top, ".c", ".h", under=("core", "include", "tests", "examples"))
    told = subprocess.run([formatter, "--style=file", "--dry-run", *paths], cwd=top, capture_output=True, text=True, check=True)
    unclean = re.findall(r"^(\S+?):(\d+):\d+: warning:", told.stderr, re.M)
    first = {}
    for path, line in unclean:
        first.setdefault(path, line)
    house.finish([(path, line, f"is not formatted; {formatter} -i {path}") for path, line in first.items()], paths)


main()
