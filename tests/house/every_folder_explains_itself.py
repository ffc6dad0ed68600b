"""Every folder of core/, tests/ and examples/, include/ and policies/ have a README.md: of one screen, with a picture, and every
file that it names exists.
"""
import os
import re

import house

SCREEN = 48  # lines

# Not rooms: inputs, workers and pages that a folder's README speaks of itself.
DATA = re.compile(r"^(?:core/package/.+|examples/[^/]+/.+|tests/[^/]+/.+)$")

# The guide for authors of policies, which is a page of the manual, explains its own folder.
GUIDES = {"policies", "examples"}

FILE = re.compile(r"[\w./*-]*\w\.(?:cjs|c|h|py|js|lua|md|sh|yml|json|cmake|pml)\b(?![\w(])")


def folders(top):
    """Those that hold files."""
    for path in house.files(top, under=("core", "tests", "examples", "include", "policies")):
        yield os.path.dirname(path)


def exists(top, folder, name, known):
    places = [os.path.join(place, name) for place in (folder, "", "core", "include")]
    return any(os.path.exists(os.path.join(top, place)) for place in places) or ("/" not in name and name in known)


def check(top, folder, known):
    path = f"{folder}/README.md"
    if not os.path.exists(os.path.join(top, path)):
        yield path, 1, "is not there; say what the folder is for, what it may include, where to start, and draw one picture"
        return
    text = house.read(top, path)
    if folder not in GUIDES and text.count("\n") > SCREEN:
        yield path, SCREEN, f"has more than one screen ({SCREEN} lines); the manual is the place for more"
    if folder not in GUIDES and "\n```" not in text:
        yield path, 1, "has no picture; draw the flow or the states between two lines of ```"
    for match in FILE.finditer(text) if folder not in GUIDES else ():
        name = match[0]
        if "*" not in name and "NAME" not in name and not exists(top, folder, name, known):
            yield path, house.line_of(text, match.start()), f"{name} does not exist; name the file that does this now"


def main():
    top, _ = house.arguments()
    known = {os.path.basename(path) for path in house.files(top, under=("core", "include", "policies"))}
    rooms = sorted({folder for folder in folders(top) if not DATA.match(folder)} - {"include/limpet"})
    rooms = ["include" if room == "include/limpet" else room for room in rooms]
    house.finish([finding for room in rooms for finding in check(top, room, known)], rooms)


main()
