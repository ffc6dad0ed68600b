"""No text of ours uses the turns of phrase that readers stumble over; each finding names the plain form."""
import re

import house

# (what is found, the plain form)
PHRASES = [
    (r"\bbut for\b", "except for"),
    (r"\b(?:is|are) told of\b", "limpet logs, or: learns of"),
    (r"\b(?:tells?|told) of\b", "reports"),
    (r"\bwhat is none\b", "anything else"),
    (r"\b(?:that|which|one|answer|it|or) is none\b", "invalid, or: not a …"),
    (r"\bDifferent is\b", "the differences are"),
    (r"\bNot reached are\b", "X does not work for"),
    (r"\bwhom root\b", "the user to switch to"),
    (r"\b[Ss]o many(?! \w+ that\b)\b", "this number of, as many"),
    (r"\bso long as it\b", "while it"),
    (r"\b[Bb]esides\b", "also, in addition to"),
    (r"\bfor want of\b", "because there is no, to make"),
    (r"\b(?:NULL|negative|false) without memory\b", "when out of memory"),
    (r"\bmisspelt\b", "misspelled"),
    (r"\bin the place of\b", "instead of, replaces"),
    (r"[;,] so (?:too|the next)\b", "the same for the next"),
    (r"\bas is usual\b", "the usual"),
    (r"\bthe way out\b", "the remedy"),
    (r"\bthere is to (?:know|say|do)\b", "everything"),
    (r"\bmischief\b", "damage"),
    (r"\bfor who(?! (?:is|are)\b)\b", "for those who, for a user who"),
    (r"\b[Bb]ehind (?:its|their|the|an?|each|every|that|this|these|it|them) ?"
     r"(?:last|first|answer|response|close|name|path|value|query|request|header|head|port|blank|newline|backslash|word|line)\b", "after"),
]

EVERY = re.compile("|".join(f"({pattern})" for pattern, _ in PHRASES))


def main():
    top, _ = house.arguments()
    paths = [path for path in house.files(top, ".md", ".c", ".h", ".lua", ".js", ".py", ".cjs", "run",
                                          under=("core", "include", "examples", "policies", ".github"))]
    paths += ["README.md"]
    house.finish([(path, line, f"\"{match.group()}\": write \"{PHRASES[match.lastindex - 1][1]}\", or turn the sentence round")
                  for path, line, match in house.lines_matching(top, paths, EVERY)], paths)


main()
