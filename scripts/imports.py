#!/usr/bin/env python3
"""Checks that imports run downwards only, crate by crate and inside each crate.

    scripts/imports.py [--write | --arrows FOLDER]

Reads the sources of every crate of the workspace, follows each import and each path to the file that defines what it
names (re-exports are followed, so they are no way round), and prints the crates from top to bottom with their lines.
Tests are left out. Exits with 1 and names the files where two modules import each other, directly or over others; where
a crate imports one that is not below it in `CRATES`; where a crate holds more than 18 % of the lines; where a module is
a `mod.rs`; and where ARCHITECTURE.md shows other crates.

--write puts the table into ARCHITECTURE.md; --arrows prints what each file below FOLDER imports.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# From top to bottom: a crate may import those below it. Of two in one line, neither imports the other.
CRATES = [
    ["crates/cli"],
    ["crates/compat-probe"],
    ["scheduler"],
    ["crates/reactor"],
    ["worker"],
    ["crates/probe-tasks"],
    ["crates/pool"],
    ["crates/execute"],
    ["crates/python"],
    ["crates/guardian"],
    ["crates/protocol"],
    ["crates/graph", "crates/green"],
    ["crates/model", "crates/os", "crates/task-macros"],
]
LARGEST = 0.18
# Members that no program contains.
TESTS_ONLY = ["crates/isolated-test", "scheduler/examples/with_tokio", "tests"]
PAGE = ROOT / "ARCHITECTURE.md"

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'"""
    r"""|(?P<token>'?\w+|::|->|=>|[^\s\w])""",
    re.DOTALL,
)


def tokens(text):
    return [match["token"] for match in TOKEN.finditer(text) if match["token"]]


class Module:
    """A module of a crate: the names it defines, those it imports, and the paths that it uses."""

    def __init__(self, crate, path, file):
        self.crate, self.path, self.file = crate, path, file
        self.children, self.defined, self.imported, self.globs = {}, set(), {}, []
        self.used, self.exported, self.names = [], [], set()


def attribute(words, at):
    """The end of the attribute that begins at `#`, and its words."""
    depth, end = 0, at + 1
    while True:
        depth += {"[": 1, "]": -1}.get(words[end], 0)
        end += 1
        if depth == 0 and words[end - 1] == "]":
            return end, words[at:end]


def use_tree(words, at, prefix, found):
    """Adds each (path, name) of the use tree that begins at `at` to `found` and returns where it ends."""
    path = list(prefix)
    while True:
        word = words[at]
        if word == "{":
            at += 1
            while words[at] != "}":
                at = use_tree(words, at, path, found)
                if words[at] == ",":
                    at += 1
            return at + 1
        if word == "*":
            found.append((path, "*"))
            return at + 1
        if word != "::":
            path.append(word)
        at += 1
        if words[at] == "::":
            at += 1
            continue
        if words[at] == "as":
            found.append((path, words[at + 1]))
            return at + 2
        name = path[-1]
        if name == "self":
            path, name = path[:-1], path[-2]
        found.append((path, name))
        return at


KINDS = {"fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"}


def skip_block(words, at):
    """The end of the item that begins at `at`: behind its first braces, or its semicolon."""
    depth = 0
    while True:
        word = words[at]
        if word in "({[":
            depth += 1
        elif word in ")}]":
            depth -= 1
            if depth == 0 and word == "}":
                return at + 1
        elif word == ";" and depth == 0:
            return at + 1
        at += 1


class Source:
    """All modules of the workspace by crate name and path."""

    def __init__(self):
        self.modules = {}
        self.crates = {}
        self.folder = {}
        for line in CRATES:
            for folder in line:
                manifest = ROOT / folder / "Cargo.toml"
                if not manifest.exists():
                    continue
                name = re.search(r'^name = "(.*)"', manifest.read_text(), re.M)[1].replace("-", "_")
                library = re.search(r'\[lib\]\s*(?:.*\n)*?name = "(.*)"', manifest.read_text())
                self.folder[folder] = library[1] if library else name
        for folder, name in self.folder.items():
            source = ROOT / folder / "src"
            for root in ("lib.rs", "main.rs"):
                if (source / root).exists():
                    crate = name if root == "lib.rs" else name + "@main"
                    self.read(crate, (), source / root, source)

    def read(self, crate, path, file, folder):
        module = Module(crate, path, file)
        self.modules[crate, path] = module
        self.items(module, tokens(file.read_text()), folder)

    def items(self, module, words, folder):
        at, depth, test, moved = 0, 0, False, None
        while at < len(words):
            word = words[at]
            if word == "#" and words[at + 1] in "[!":
                at, inside = attribute(words, at if words[at + 1] == "[" else at + 1)
                test = test or inside[1:6] == ["[", "cfg", "(", "test", ")"]
                continue
            if test and (word in KINDS or word in ("mod", "use", "impl") or word.startswith("pub")):
                at, test = skip_block(words, at), False
                continue
            test = False
            if word == "use" and words[at + 1] != "<" and (at == 0 or words[at - 1] not in ("::", ".", "+", ":")):
                found, at_use = [], at
                at = use_tree(words, at + 1, [], found)
                public = at_use > 0 and words[at_use - 1] in ("pub", ")")
                for path, name in found:
                    # A re-export is no import of its own, unless the file itself uses the name.
                    (module.exported if public and name != "*" else module.used).append(path)
                    if name == "*":
                        module.globs.append(path)
                    elif depth == 0 or name not in module.imported:
                        module.imported[name] = path
                continue
            if word == "mod" and depth == 0 and words[at + 2] == ";":
                self.child(module, words[at + 1], folder)
                at += 3
                continue
            if word == "mod" and depth == 0 and words[at + 2] == "{":
                module.defined.add(words[at + 1])
            if word in KINDS and depth == 0:
                name = words[at + 2] if word == "macro_rules" else words[at + 1]
                if name in ("fn", "unsafe", "mut", "extern"):
                    name = words[at + 2]
                module.defined.add(name)
            module.names.add(word)
            if word == "{":
                depth += 1
            elif word == "}":
                depth -= 1
            if at + 1 < len(words) and words[at + 1] == "::" and (at == 0 or words[at - 1] not in ("::", "in")):
                path, end = [word], at + 1
                while words[end] == "::" and re.match(r"\w", words[end + 1]):
                    path.append(words[end + 1])
                    end += 2
                module.used.append(path)
            at += 1

    def child(self, module, name, folder):
        inside = folder / name
        for file in (folder / f"{name}.rs", inside / "mod.rs"):
            if file.exists():
                module.children[name] = module.path + (name,)
                self.read(module.crate, module.path + (name,), file, inside)
                return
        # Made at build time, or kept elsewhere by `#[path]`: not read.

    def resolve(self, module, path, seen=()):
        """The module that defines what `path`, written in `module`, names; None outside of the workspace."""
        if (module, tuple(path)) in seen or len(seen) > 40 or not path:
            return None
        seen += ((module, tuple(path)),)
        first, rest = path[0], path[1:]
        crate = self.modules.get((first, ()))
        if first == "crate":
            return self.down(self.modules[module.crate, ()], rest, seen)
        if first == "self":
            return self.down(module, rest, seen)
        if first == "super":
            return self.down(self.modules[module.crate, module.path[:-1]], rest, seen) if rest[:1] != ["super"] else \
                self.resolve(self.modules[module.crate, module.path[:-1]], rest, seen)
        if first in module.children or first in module.defined or first in module.imported:
            return self.down(module, path, seen)
        if crate:
            return self.down(crate, rest, seen)
        for glob in module.globs:
            found = self.resolve(module, glob, seen)
            if found and first in (found.defined | set(found.children) | set(found.imported)):
                return self.down(found, path, seen)
        return None

    def down(self, module, path, seen):
        if not path:
            return module
        first, rest = path[0], path[1:]
        if first in module.children and (rest or first not in module.defined | set(module.imported)):
            return self.down(self.modules[module.crate, module.children[first]], rest, seen)
        if first in module.defined:
            return module
        if first in module.imported:
            return self.resolve(module, module.imported[first] + rest, seen)
        for glob in module.globs:
            found = self.resolve(module, glob, seen)
            if found:
                deeper = self.down(found, path, seen) if found is not module else None
                if deeper and deeper is not found or found and first in found.defined:
                    return deeper
        return module

    def arrows(self):
        """For each module, the modules that it imports."""
        found = {}
        for module in self.modules.values():
            targets = set()
            for path in module.used + [path for path in module.exported if path[-1] in module.names]:
                target = self.resolve(module, path)
                if target and target is not module:
                    targets.add(target)
            found[module] = targets
        return found


def circles(arrows):
    """The strongly connected sets of more than one module (Tarjan, without recursion)."""
    number, low, on, stack, found = {}, {}, set(), [], []
    for start in arrows:
        if start in number:
            continue
        work = [(start, iter(sorted(arrows[start], key=lambda m: str(m.file))))]
        number[start] = low[start] = len(number)
        stack.append(start)
        on.add(start)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in number:
                    number[target] = low[target] = len(number)
                    stack.append(target)
                    on.add(target)
                    work.append((target, iter(sorted(arrows[target], key=lambda m: str(m.file)))))
                    break
                if target in on:
                    low[node] = min(low[node], number[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    circle = []
                    while True:
                        member = stack.pop()
                        on.discard(member)
                        circle.append(member)
                        if member is node:
                            break
                    if len(circle) > 1:
                        found.append(circle)
    return found


def relative(module):
    return str(module.file.relative_to(ROOT))


def circle_faults(arrows):
    faults = []
    for circle in circles(arrows):
        inside = set(circle)
        faults.append(f"a circle of {len(circle)} files:")
        for module in sorted(circle, key=relative):
            for target in sorted(arrows[module] & inside, key=relative):
                faults.append(f"  {relative(module)} imports {relative(target)}")
    return faults


def upward_faults(source, arrows):
    height = {source.folder[folder]: at for at, line in enumerate(CRATES) for folder in line}
    faults = []
    for module, targets in arrows.items():
        for target in targets:
            here, there = module.crate.removesuffix("@main"), target.crate.removesuffix("@main")
            if here != there and height[here] >= height[there]:
                faults.append(f"an arrow up: {relative(module)} imports {relative(target)}")
    return faults


def layout_faults():
    """Each member of the workspace stands in `CRATES`, and no module is a `mod.rs`."""
    listed = {folder for line in CRATES for folder in line} | set(TESTS_ONLY)
    members = re.search(r"^members = \[(.*?)\]", (ROOT / "Cargo.toml").read_text(), re.M | re.S)[1]
    members = set(re.findall(r'"(.*?)"', members))
    faults = [f"{folder} is a member of the workspace that CRATES does not list" for folder in sorted(members - listed)]
    faults += [f"CRATES lists {folder}, which is no member of the workspace" for folder in sorted(listed - members)]
    for folder in sorted(members):
        for file in sorted((ROOT / folder).rglob("mod.rs")):
            if "target" not in file.relative_to(ROOT).parts:
                faults.append(f"{file.relative_to(ROOT)}: a module is x.rs beside x/, not x/mod.rs")
    return faults


def size_table(source):
    """The lines of the table of crates, and the faults of crates that are too large."""
    lines = {}
    for module in source.modules.values():
        name = module.crate.removesuffix("@main")
        lines[name] = lines.get(name, 0) + len(module.file.read_text().splitlines())
    total = sum(lines.values())
    table, faults = [], []
    for line in CRATES:
        for folder in line:
            count = lines[source.folder[folder]]
            table.append(f"{folder:22} {count:6} lines {100 * count / total:5.1f} %")
            if count > LARGEST * total:
                faults.append(f"{folder} has more than {LARGEST:.0%} of the lines")
    return [*table, f"{'all':22} {total:6} lines"], faults


def page_faults(table, write):
    """ARCHITECTURE.md shows the table; an old number in it is no fault, another crate or order is."""
    text = PAGE.read_text()
    before, shown, after = re.split(r"(?<=<!-- imports -->\n)(.*?)(?=<!-- /imports -->)", text, maxsplit=1, flags=re.S)
    if write:
        PAGE.write_text(before + "\n".join(["```text", *table, "```", ""]) + after)
        return []
    if [line.split()[0] for line in shown.splitlines()[1:-1]] != [line.split()[0] for line in table]:
        return ["ARCHITECTURE.md shows other crates: run scripts/imports.py --write"]
    return []


def main():
    source = Source()
    arrows = source.arrows()
    if sys.argv[1:2] == ["--arrows"]:
        for module, targets in arrows.items():
            if relative(module).startswith(sys.argv[2]):
                print(relative(module), "->", *sorted(relative(t) for t in targets))
        return 0
    table, faults = size_table(source)
    faults += circle_faults(arrows) + upward_faults(source, arrows) + layout_faults()
    faults += page_faults(table, write=sys.argv[1:2] == ["--write"])
    print(*table, sep="\n")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
