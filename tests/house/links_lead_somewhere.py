"""Every relative link of a Markdown file leads to a file that exists, and to a heading of it where it names one."""
import os
import re

import house

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.M)
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def without_code(text):
    """The text with its fenced blocks blanked, so that lines keep their numbers."""
    return FENCE.sub(lambda match: "\n" * match.group().count("\n"), text)


def anchor(heading):
    """What a page of the web calls a heading."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
    return kept.strip().replace(" ", "-")


def problem(top, path, link):
    """What is wrong with a link of a file, or None."""
    if re.match(r"[a-z]+:", link):
        return None
    target, _, name = link.partition("#")
    there = os.path.normpath(os.path.join(top, os.path.dirname(path), target)) if target else os.path.join(top, path)
    if not os.path.exists(there):
        return f"{link} leads nowhere; mend the link, or remove it"
    if name and there.endswith(".md"):
        with open(there, encoding="utf-8") as file:
            names = {anchor(heading) for heading in HEADING.findall(without_code(file.read()))}
        if name not in names:
            return f"{link}: there is no heading of that name; use one of that file"
    return None


def main():
    top, _ = house.arguments()
    paths = house.files(top, ".md")
    findings = []
    for path in paths:
        text = without_code(house.read(top, path))
        for match in LINK.finditer(text):
            words = problem(top, path, match.group(1))
            if words:
                findings.append((path, house.line_of(text, match.start()), words))
    house.finish(findings, paths)


main()
