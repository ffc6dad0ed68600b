"""Every function and callback type that a header declares has a doc comment right above it; a function's says of each
parameter, after its @param, what it is.
"""
import re

import house

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\(.*?\)\)", re.S)
FUNCTION = re.compile(r"^[\w\s*]+?\b(\w+)\s*\((.*)\)$", re.S)
CALLBACK = re.compile(r"^typedef\b.*?\(\s*\*\s*(\w+)\s*\)\s*\((.*)\)$", re.S)
SPACE_OR_PREPROCESSOR = re.compile(r"\s+|#(?:\\\n|[^\n])*|extern\s+\"C\"\s*\{|\}")


def statement_at(text, at):
    """The end of the statement that begins here: behind its semicolon, or behind a function's body."""
    depth = 0
    while at < len(text):
        comment = COMMENT.match(text, at)
        if comment:
            at = comment.end()
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if depth == 0 and (text[at - 1] == ";" or text[at - 1] == "}" and not re.match(r"\s*\w*\s*(?:\[|;)", text[at:])):
            break
    return at


def declarations(text):
    """(offset, statement without comments and body, the comment right above or None) of each statement of a header."""
    at, comment = 0, None
    while at < len(text):
        between = COMMENT.match(text, at)
        if between:
            comment = between[0] if between[0].startswith("/**") else None
        else:
            between = SPACE_OR_PREPROCESSOR.match(text, at)
            if between and not between[0].isspace():
                comment = None
        if between:
            at = between.end()
            continue
        end = statement_at(text, at)
        statement = ATTRIBUTE.sub("", COMMENT.sub(" ", text[at:end])).split("{")[0]
        yield at, statement.strip().rstrip(";").strip(), comment
        at, comment = end, None


def parameters(inside):
    """The names between a prototype's brackets."""
    depth, parts = 0, [""]
    for character in inside:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    for part in parts:
        named = re.search(r"\(\s*\*\s*(\w+)", part) or re.search(r"(\w+)\s*(?:\[[^]]*\])*\s*$", part)
        if named and named[1] != "void":
            yield named[1]


def check(path, text):
    for at, statement, comment in declarations(text):
        match = CALLBACK.match(statement)
        if not match and not statement.startswith(("typedef", "_Static_assert")):
            match = FUNCTION.match(statement)
        if not match:
            continue
        name, line = match[1], house.line_of(text, at)
        if not comment:
            yield path, line, f"{name} has no /** comment */ right above; say what it does, who owns what, and its errors"
            continue
        if match.re is CALLBACK:
            continue
        told = {word for names in re.findall(r"@param((?:\s+\w+,)*\s+\w+)", comment) for word in re.findall(r"\w+", names)}
        for parameter in parameters(match[2]):
            if parameter not in told:
                yield path, line, f"the comment of {name} has no @param {parameter}; say who owns it, its range and unit"


def main():
    top, _ = house.arguments()
    headers = house.files(top, ".h", under=("core", "include"))
    house.finish([finding for path in headers for finding in check(path, house.read(top, path))], headers)


main()
