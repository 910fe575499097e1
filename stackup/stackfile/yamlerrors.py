"""What libyaml says about a text that is no YAML, in the words of who wrote it: what is missing, and in which line.

A parser notices a mistake late: a colon that is missing in line 2 makes line 3 impossible. So the lines before the one
where reading stopped are looked at, and what beginners get wrong most often is recognised there.
"""

from __future__ import annotations

import re

import yaml

from stackup.base.errors import Position
from stackup.stackfile.nodes import Source
from stackup.stackfile.problems import Problems

_WORDS = (
    ("found character '\\t' that cannot start any token", "a tab is used for indentation; YAML allows spaces only"),
    ("mapping values are not allowed in this context", "a ': ' is not allowed here"),
    ("could not find expected ':'", "a ':' is missing after this key"),
    ("did not find expected key", "this line does not fit the indentation of the lines above"),
    ("did not find expected '-' indicator", "this line does not fit the list above"),
    ("found unexpected end of stream", "the file ends inside a quoted text or a bracket"),
    ("did not find expected ',' or ']'", "a ',' or ']' is missing"),
    ("did not find expected ',' or '}'", "a ',' or '}' is missing"),
    ("found undefined alias", "this alias (*name) has no anchor (&name) before it"),
    ("found character that cannot start any token", "this character cannot begin a value; write the value in quotes"),
    ("found unknown escape character", "in double quotes a backslash begins an escape sequence, and this is none"),
    (
        "did not find expected hexdecimal number",
        "in double quotes a backslash begins an escape sequence: \\x takes two hexadecimal digits, \\u four, \\U eight",
    ),
    ("block sequence entries are not allowed in this context", "a list cannot begin here; put it on the next line"),
)
_HINTS = {
    "mapping values are not allowed in this context": "write a text that holds ': ' in quotes, or mend the indentation",
    "found unknown escape character": "write \\\\ for a backslash, or put the text in single quotes",
    "did not find expected hexdecimal number": "write \\\\ for a backslash, or put the text in single quotes",
}
_VARIABLE = re.compile(r"[^\s,\[\]{}\"':]*\$\{[^\s,\[\]{}\"']*\}?[^\s,\[\]{}\"']*")
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})(?: .*)?\r?$", re.MULTILINE)
_TEMPLATE = re.compile(r"^[^\"'#]*?((?<![^\s:\[,-])\{\{|\{%)")
_PAIR = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*=")
_KEY_ALONE = re.compile(r"\s*(?:- +)?([A-Za-z_][\w.-]*)\s*(?:#.*)?\Z")
_KEY_AND_TEXT = re.compile(r"\s*(?:- +)?([a-z_]+) +[^\s#=:]")
_TIGHT = re.compile(r"\s*(?:- +)?([A-Za-z_]+):(?![\s/])[^\s:]+\s*\Z")
_OPENED = re.compile(r"""(?:[:,\[{-]\s+|[\[{])(["'])(?:(?!\1).)*\Z""")
_LOOK_BACK = 50  # lines
TEMPLATE = "this looks like a template ({{ ... }} or {% ... %})"
TEMPLATE_HINT = (
    "let the program it is made for fill it in first; a text of its own that begins with {{ stands in quotes"
)


class _Told(Exception):
    """What is wrong has been recognised: ``words`` about a place."""

    def __init__(self, words: str, line: int, column: int, hint: str = "", width: int = 1) -> None:
        super().__init__(words)
        self.words = words
        self.place = (line, column)
        self.hint = hint
        self.width = width


def report(source: Source, error: yaml.MarkedYAMLError, problems: Problems) -> None:
    """Says it once: as one of the mistakes that are known here, or as a translation of libyaml's words."""
    said = error.problem or "it is no YAML"
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    began = (error.context_mark.line + 1, error.context_mark.column + 1) if error.context_mark else (line, column)
    try:
        _conflict(source)
        _template(source, line, began[0])
        _names(source, said, line, column)
        _quote(source, error, said, line, column, began)
        _bracket(source, said, line, began)
        _colon(source, said, line, began[0])
        _mixture(source, said, line)
        _translated(source, error, said, (line, column), began)
    except _Told as told:
        name = short(source, problems)
        message = f"cannot read {name} as YAML: {told.words}"
        problems.at(source, *told.place, message, hint=told.hint, width=told.width)


def short(source: Source, problems: Problems) -> str:
    """The file's name as it is shown everywhere."""
    return problems.short(Position(source.name))


def _conflict(source: Source) -> None:
    found = _CONFLICT.search(source.text)
    if found:
        line = source.text.count("\n", 0, found.start()) + 1
        words = f"this is a conflict marker of git ({found[1]})"
        raise _Told(words, line, 1, "decide which of the two versions stays, and delete the lines of markers", 7)


def _template(source: Source, *lines: int) -> None:
    for line in lines:
        found = _TEMPLATE.match(source.line(line)[:500])
        if found:
            raise _Told(TEMPLATE, line, found.start(1) + 1, TEMPLATE_HINT, 2)


def _names(source: Source, said: str, line: int, column: int) -> None:
    """Aliases and variables: what stands at the very place."""
    alias = re.match(r"\*([^\s,\]}]+)", source.line(line)[column - 1 :])
    if said.startswith("found undefined alias") and alias:
        words = f"the alias *{alias[1]} has no anchor &{alias[1]} before it"
        raise _Told(words, line, column, width=len(alias[0]))
    start = max(0, column - 200)  # some lines are megabytes
    near = _VARIABLE.finditer(source.line(line)[start : column + 200])
    variable = next((item for item in near if item.start() <= column - start <= item.end()), None)
    if said.startswith("did not find expected ','") and variable:
        whole = variable[0] if "}" in variable[0] else f"{variable[0]}}}"
        words = "inside of [ ] and { }, a text with a variable must stand in quotes"
        raise _Told(words, line, start + variable.start() + 1, f'write "{whole}"', len(variable[0]))


def _quote(
    source: Source, error: yaml.MarkedYAMLError, said: str, line: int, column: int, began: tuple[int, int]
) -> None:
    """A quote that is never closed, or closed by the one that was to open the next text."""
    if said.startswith("found unexpected end of stream") and "quoted" in (error.context or ""):
        mark = source.line(began[0])[began[1] - 1 : began[1]] or '"'
        raise _Told(f"the quote {mark} that begins here is not closed", *began)
    mark = source.line(line)[column - 2 : column - 1]
    if column < 2 or mark not in ('"', "'"):
        return
    for number in range(line - 1, max(0, line - _LOOK_BACK), -1):
        opened = _OPENED.search(source.line(number)[:1000])
        if opened and opened[1] == mark:
            raise _Told(f"the quote {mark} that begins here is not closed in its line", number, opened.start(1) + 1)


_NEXT = re.compile(r"\s*(?:- +)?(?:[\w./-]+|\"[^\"]*\"|'[^']*'):(?:\s|\Z)|\s*- ")


def _bracket(source: Source, said: str, line: int, began: tuple[int, int]) -> None:
    """A bracket that is not closed: libyaml notices when the next key comes, or when the file ends."""
    mark = source.line(began[0])[began[1] - 1 : began[1]]
    if not said.startswith("did not find expected ','") or mark not in ("[", "{"):
        return
    text = source.line(line)[:500]
    words, closing = f"the {mark} that begins here is not closed", "]" if mark == "[" else "}"
    if not text.strip():
        raise _Told(words, *began)
    if line > began[0] and _NEXT.match(text) and _indent(text) <= _indent(source.line(began[0])):
        raise _Told(words, *began, f"line {line} begins something else: a {closing} is missing before it")


def _colon(source: Source, said: str, line: int, began: int) -> None:
    """A key without its colon, told about the line that lacks it."""
    if said.startswith("could not find expected ':'"):
        at = began
    elif said.startswith(("mapping values are not allowed", "block sequence entries are not allowed")):
        at = _before(source, line)
    else:
        return
    text = source.line(at)[:500]
    if (wide := text.find("\N{FULLWIDTH COLON}")) >= 0:
        raise _Told("this is no ':' but a full-width one (U+FF1A)", at, wide + 1, "type : in its place")
    place = at, len(text) - len(text.lstrip()) + 1
    if _PAIR.match(text):
        _raise_pair(text, *place)
    if tight := _TIGHT.match(text):
        hint = text.strip().replace(":", ": ", 1)
        raise _Told(f"a space is missing after '{tight[1]}:'", at, tight.start(1) + 1, f"write {hint}", len(tight[1]))
    found = _KEY_ALONE.match(text)
    if found is None and not _continues(source, at):
        found = _KEY_AND_TEXT.match(text)
    if found:
        hint = f"write {found[1]}:"
        raise _Told(f"a ':' is missing after '{found[1]}'", at, found.start(1) + 1, hint, len(found[1]))


def _raise_pair(text: str, line: int, column: int) -> None:
    pair = text.strip()
    name, _, value = pair.partition("=")
    hint = f"write each line as {name}: {value}" if len(pair) < 60 else "write each line as NAME: value"
    words = "a line NAME=value needs a '- ' in front of it, or a ': ' in place of the '='"
    raise _Told(words, line, column, f"{hint}, or each as - {pair if len(pair) < 60 else 'NAME=value'}", len(pair))


def _before(source: Source, line: int) -> int:
    """The last line before this one that says something."""
    for number in range(line - 1, max(0, line - _LOOK_BACK), -1):
        if source.line(number).strip() and not source.line(number).lstrip().startswith("#"):
            return number
    return 0


def _continues(source: Source, line: int) -> bool:
    """Whether a line may go on with the text of the line before it."""
    before = source.line(_before(source, line))
    deeper = _indent(before) < _indent(source.line(line))
    return deeper and not before.rstrip().endswith(":")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _mixture(source: Source, said: str, line: int) -> None:
    """Items of a list among the entries of a mapping, or the other way round."""
    text = source.line(line)[:500]
    place = line, _indent(text) + 1
    item = text.lstrip().startswith("- ")
    if said.startswith("did not find expected '-' indicator") and re.match(r"\s*[\w.-]+:(\s|\Z)", text):
        words = "this line is NAME: value, but the lines above are items of a list (- ...)"
        pair = re.match(r"\s*([\w.-]+):\s*(\S.*)?\Z", text)
        written = f"- {pair[1]}={pair[2] or ''}" if pair and len(text) < 80 else "- NAME=value"
        raise _Told(words, *place, f"write all of them one way: {written}, or mend the indentation")
    if said.startswith("did not find expected key") and item:
        above = source.line(_before(source, line))
        if _indent(above) == _indent(text) and re.match(r"\s*[\w.-]+:", above):
            words = "this is an item of a list (- ...), but the lines above are NAME: value"
            name, equals, value = text.strip()[2:].partition("=")
            written = f"{name}: {value}" if equals and len(text) < 80 else "NAME: value"
            raise _Told(words, *place, f"write all of them one way: {written}, or mend the indentation")


def _translated(
    source: Source, error: yaml.MarkedYAMLError, said: str, place: tuple[int, int], began: tuple[int, int]
) -> None:
    words, hint = said, ""
    for begin, translated in _WORDS:
        if said.startswith(begin):
            words, hint = translated, _HINTS.get(begin, "")
            break
    if said.startswith("found character that cannot start") and source.line(place[0])[place[1] - 1 : place[1]] == "\t":
        words = _WORDS[0][1]
    past = not source.line(place[0]).strip()  # the end of the file shows nobody anything
    if error.context_mark is not None and error.context:
        if past:
            words += f" (in the {_thing(error.context)} that begins here)"
        elif began[0] != place[0]:
            words += f" (in the {_thing(error.context)} that begins in line {began[0]})"
    raise _Told(words, *(began if past else place), hint)


def _thing(context: str) -> str:
    """What libyaml was reading, in words."""
    names = {"mapping": "mapping", "sequence": "list", "collection": "list", "quoted": "quoted text", "scalar": "text"}
    return next((name for part, name in names.items() if part in context), "part")
