"""No text of ours uses the turns of phrase that readers stumble over; each finding names the plain form."""
import re

import house

# (what is found, the plain form)
PHRASES = [
    (r"\bbut for\b", "except for"),
    (r"\b(?:is|are) told of\b", "limpet logs, or: hears of"),
    (r"\bwhat is none\b", "anything else"),
    (r"\bDifferent is\b", "the differences are"),
    (r"\bNot reached are\b", "X does not work for"),
    (r"\bwhom root\b", "the user to switch to"),
    (r"\bso many of\b", "as many"),
    (r"\bso long as it\b", "while it"),
    (r"\b[Bb]ehind (?:its|their|the) (?:last|first|answer|response|close)\b", "after"),
]


def main():
    top, _ = house.arguments()
    paths = [path for path in house.files(top, ".md", ".c", ".h", ".lua", ".js", ".py", ".cjs", "run",
                                          under=("core", "include", "examples", "policies", ".github"))]
    paths += ["README.md"]
    findings = []
    for pattern, plain in PHRASES:
        findings += [(path, line, f"\"{match.group()}\": write \"{plain}\", or turn the sentence round")
                     for path, line, match in house.lines_matching(top, paths, re.compile(pattern))]
    house.finish(findings, paths)


main()
