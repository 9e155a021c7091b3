"""Reads Rust sources: the modules of a crate, and the paths by which each one names another."""

import re
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | //[^\n]* )
    | (?P<comment> /\* )
    | (?P<text> (?:b|c)?r(?P<hashes>\#*)".*?"(?P=hashes) | (?:b|c)?"(?:\\.|[^"\\])*" | b?'(?:\\[^']+|\\'|[^'\\])' )
    | (?P<lifetime> '\w+ )
    | (?P<word> (?:r\#)?[^\W\d]\w* )
    | (?P<other> :: | \d\w* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
ITEM_WORDS = frozenset("async const enum extern fn impl macro_rules mod pub static struct trait type unsafe use".split())
ROOTS = ("crate", "self", "super")


@dataclass(frozen=True)
class Token:
    text: str
    line: int


@dataclass
class Module:
    """A module of a crate. One that is written inside of another's file has the file of that one."""

    name: str
    parent: "Module | None"
    file: Path
    is_inline: bool = False
    children: dict[str, "Module"] = field(default_factory=dict)
    bindings: dict[str, list[str]] = field(default_factory=dict)  # by `use`: the name here, and the path
    globs: list[list[str]] = field(default_factory=list)
    imports: list["Import"] = field(default_factory=list)
    words: set[str] = field(default_factory=set)  # names that the code uses, `use` lines excluded

    def owner(self) -> "Module":
        """The module that the file is for."""
        return self.parent.owner() if self.is_inline else self

    def ancestors(self) -> list["Module"]:
        """This module and all around it, the crate root first."""
        return [*(self.parent.ancestors() if self.parent else []), self]

    def walk(self):
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True)
class Import:
    path: tuple[str, ...]
    line: int
    reexported_as: str | None = None
    is_inline: bool = False  # not in a `use`

    def __str__(self) -> str:
        return "::".join(self.path)


def tokens(source: str) -> list[Token]:
    found, position, line = [], 0, 1
    while position < len(source):
        match = TOKEN.match(source, position)
        end = match.end()
        if match["comment"]:
            end = end_of_comment(source, end)
        elif not match["skip"]:
            is_code = match["word"] or match["other"]
            found.append(Token(match[0].removeprefix("r#") if is_code else '""', line))
        line += source.count("\n", position, end)
        position = end
    return found


def end_of_comment(source: str, position: int) -> int:
    """Block comments nest."""
    depth = 1
    while depth:
        edge = COMMENT_EDGE.search(source, position)
        if not edge:
            return len(source)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def load_crate(root: Path) -> Module:
    """The module tree below `root`, a `lib.rs`. Code that only tests compile is left out."""
    crate = Module("lib", None, root)
    Reader(crate, tokens(root.read_text())).read()
    return crate


class Reader:
    """Reads one file into its module."""

    def __init__(self, module: Module, stream: list[Token]):
        self.module = module
        self.stream = stream
        self.at = 0

    def text(self, offset: int = 0) -> str:
        index = self.at + offset
        return self.stream[index].text if 0 <= index < len(self.stream) else ""

    def read(self) -> None:
        """Up to the end of the file or the brace that closes this module."""
        depth = 0
        while self.at < len(self.stream):
            text = self.text()
            if text == "#" and self.is_for_tests():
                self.skip_item()
            elif text == "use" and self.text(1) != "<":  # not `impl Trait + use<'a>`
                self.read_use()
            elif text == "mod" and self.text(2) in (";", "{"):
                self.read_module()
            elif text == "}" and depth == 0:
                return
            else:
                depth += {"{": 1, "}": -1}.get(text, 0)
                self.read_path()

    def is_for_tests(self) -> bool:
        """Whether an attribute `#[cfg(test)]` or `#[test]` of an item begins here."""
        if self.text(1) != "[":
            return False
        end = self.closing(self.at + 1)
        inner = "".join(token.text for token in self.stream[self.at + 2 : end])
        is_test = inner == "test" or re.fullmatch(r"cfg\((all\()?test\b.*", inner)
        while end + 1 < len(self.stream) and self.stream[end + 1].text == "#":
            end = self.closing(end + 2)
        return bool(is_test) and self.stream[end + 1].text in ITEM_WORDS

    def closing(self, opening: int) -> int:
        """The index of the bracket that closes the one at `opening`."""
        depth = 0
        for index in range(opening, len(self.stream)):
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(self.stream[index].text, 0)
            if depth == 0:
                return index
        return len(self.stream) - 1

    def skip_item(self) -> None:
        """To the end of the item: its semicolon or its block. The braces of a `use` or a value are no block."""
        needs_semicolon = False
        while self.at < len(self.stream):
            text = self.text()
            needs_semicolon |= text in ("use", "=", "const", "static") and self.text(1) != "fn"
            if text in ("(", "[", "{"):
                self.at = self.closing(self.at)
            if text == ";" or (text == "{" and not needs_semicolon):
                break
            self.at += 1
        self.at += 1

    def read_module(self) -> None:
        name, is_inline = self.text(1), self.text(2) == "{"
        self.at += 3
        file = self.module.file if is_inline else find_file(self.module, name)
        child = Module(name, self.module, file, is_inline)
        self.module.children[name] = child
        if is_inline:
            inner = Reader(child, self.stream)
            inner.at = self.at
            inner.read()
            self.at = inner.at + 1
        else:
            Reader(child, tokens(file.read_text())).read()

    def read_use(self) -> None:
        before = self.text(-1)
        if before == ")":  # pub(crate), pub(in path)
            before = next(self.text(-n) for n in range(2, self.at + 1) if self.text(-n) == "(" or self.at == n)
        is_public = before in ("pub", "(")
        self.at += 1
        self.read_tree((), is_public)
        self.at += 1  # the semicolon

    def read_tree(self, prefix: tuple[str, ...], is_public: bool) -> None:
        """One path of a `use`, or a group of them."""
        path, line = prefix, self.stream[self.at].line
        while True:
            text = self.text()
            if text == "::":
                self.at += 1
            elif text == "{":
                self.at += 1
                while self.text() != "}":
                    self.read_tree(path, is_public)
                    self.at += self.text() == ","
                self.at += 1
                return
            elif text == "*":
                self.at += 1
                self.module.globs.append(list(path))
                self.module.imports.append(Import(path, line))
                return
            else:
                path, line = (*path, text), self.stream[self.at].line
                self.at += 1
                if self.text() != "::":
                    self.bind(path, line, is_public)
                    return

    def bind(self, path: tuple[str, ...], line: int, is_public: bool) -> None:
        if path[-1] == "self":
            path = path[:-1]
        name = path[-1]
        if self.text() == "as":
            name = self.text(1)
            self.at += 2
        self.module.bindings.setdefault(name, list(path))
        self.module.imports.append(Import(path, line, name if is_public else None))

    def read_path(self) -> None:
        """A path outside of `use`, or a single name."""
        start, line = self.at, self.stream[self.at].line
        path = [self.text()]
        self.at += 1
        if not is_word(path[0]) or self.text(-2) == "::":
            return
        while self.text() == "::" and is_word(self.text(1)):
            path.append(self.text(1))
            self.at += 2
        before = self.stream[start - 1].text if start else ""
        is_visibility = before == "in" and start > 2 and self.stream[start - 2].text == "("
        if len(path) > 1 and not is_visibility:
            self.module.imports.append(Import(tuple(path), line, is_inline=True))
        if before not in (".", "fn") and self.text() != ":":  # neither a method nor a field
            self.module.words.add(path[0])


def is_word(text: str) -> bool:
    return text.isidentifier()


def find_file(parent: Module, name: str) -> Path:
    file = parent.file
    folder = file.parent if file.name in ("lib.rs", "mod.rs") else file.with_suffix("")
    for inline in [module.name for module in parent.ancestors() if module.is_inline and module.file == file]:
        folder /= inline
    candidates = [folder / f"{name}.rs", folder / name / "mod.rs"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{file}: `mod {name}` has no file {candidates[0]}")


def resolve(module: Module, path: list[str] | tuple[str, ...], seen: frozenset = frozenset()) -> Module | None:
    """The module that defines what `path` names in `module`, behind all re-exports; None if another crate does."""
    if (id(module), tuple(path)) in seen:
        return None
    seen |= {(id(module), tuple(path))}
    here, rest = module, list(path)
    if rest[0] == "crate":
        here = module.ancestors()[0]
        rest = rest[1:]
    elif rest[0] in ROOTS:
        while rest and rest[0] in ROOTS:
            here = here.parent or here if rest[0] == "super" else here
            rest = rest[1:]
    elif rest[0] not in module.children and rest[0] not in module.bindings:
        return None
    return descend(here, rest, seen)


def descend(module: Module, rest: list[str], seen: frozenset) -> Module | None:
    if not rest:
        return module
    name, *rest = rest
    if name in module.children:
        return descend(module.children[name], rest, seen)
    if name in module.bindings:
        return resolve(module, [*module.bindings[name], *rest], seen)
    for glob in module.globs:
        source = resolve(module, glob, seen)
        if source and source is not module and (name in source.children or name in source.bindings):
            return descend(source, [name, *rest], seen)
    return module
