"""The two rules: imports go from an earlier room to a later one, and modules form no circle."""

import tomllib
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

from source import Import, Module, load_crate, resolve

LIST = ".ci/rooms.toml"


@dataclass(frozen=True, eq=False)
class Edge:
    source: Module
    target: Module
    imported: Import

    def __str__(self) -> str:
        return f"{self.source.file}:{self.imported.line}: {self.imported}"


def check_workspace(root: Path) -> list[str]:
    lists = tomllib.loads((root / LIST).read_text())
    members = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["members"]
    crates = {f"{member}/src" for member in members} | {"src"}
    crates = {crate for crate in crates if (root / crate / "lib.rs").is_file()}
    problems = [f"{LIST}: {crate} is not a crate of the workspace" for crate in sorted(lists.keys() - crates)]
    for crate in sorted(crates):
        if crate in lists:
            problems += check_crate(root / crate, lists[crate])
        else:
            problems.append(f"{LIST}: has no list for {crate}")
    return [problem.replace(f"{root}/", "") for problem in problems]


def check_crate(folder: Path, rooms: list[str]) -> list[str]:
    crate = load_crate(folder / "lib.rs")
    edges = find_edges(crate)
    return check_list(crate, rooms, edges) + check_order(rooms, edges) + check_circles(crate, edges)


def find_edges(crate: Module) -> list[Edge]:
    """Which file imports from which.

    A parent that only re-exports what its children define does not depend on them; it does where its own code uses it.
    """
    edges = []
    for module in crate.walk():
        for imported in module.imports:
            target = resolve(module, imported.path)
            if target is None or (imported.is_inline and is_known(module, imported, target)):
                continue
            source, target = module.owner(), target.owner()
            is_reexport = imported.reexported_as is not None and imported.reexported_as not in module.words
            is_facade = is_reexport and source in target.ancestors()
            if source is not target and not is_facade:
                edges.append(Edge(source, target, imported))
    return edges


def is_known(module: Module, imported: Import, target: Module) -> bool:
    """Whether a `use` of `module` says the same as this path."""
    used = module.bindings.get(imported.path[0])
    return used is not None and resolve(module, used) is target


def room_of(module: Module) -> str:
    path = module.ancestors()
    return path[1].name if len(path) > 1 else "lib"


def check_list(crate: Module, rooms: list[str], edges: list[Edge]) -> list[str]:
    """`lib`, the crate root, is a room only where it has code of its own."""
    found = {child.name for child in crate.children.values() if not child.is_inline}
    found |= {"lib" for edge in edges if crate in (edge.source, edge.target)}
    place = f"{LIST}: {crate.file.parent}"
    missing = [f"{place}: the room `{name}` is not in the list" for name in sorted(found - set(rooms))]
    return missing + [f"{place}: there is no room `{name}`" for name in rooms if name not in found]


def check_order(rooms: list[str], edges: list[Edge]) -> list[str]:
    order = {name: place for place, name in enumerate(rooms)}
    problems = []
    for edge in edges:
        source, target = room_of(edge.source), room_of(edge.target)
        if source in order and target in order and order[target] < order[source]:
            problems.append(f"{edge}: the room `{source}` must not import from `{target}`, which is listed before it")
    return problems


def check_circles(crate: Module, edges: list[Edge]) -> list[str]:
    """Looks at the children of every module, each with all below it, and at the module's own file."""
    problems = []
    for parent in crate.walk():
        graph = defaultdict(dict)
        for edge in edges:
            source, target = part_of(parent, edge.source), part_of(parent, edge.target)
            if source and target and source is not target:
                graph[source.file].setdefault(target.file, edge)
        problems += [describe(parent, circle) for circle in circles(graph)]
    return problems


def part_of(parent: Module, module: Module) -> Module | None:
    """The child of `parent` that holds `module`, or `parent` itself."""
    path = module.ancestors()
    if parent not in path:
        return None
    return path[min(path.index(parent) + 1, len(path) - 1)]


def circles(graph: dict[Path, dict[Path, Edge]]) -> list[list[Edge]]:
    """The shortest circles. No two of them share an import."""
    found, edges = [], set()
    for circle in sorted((shortest_circle(graph, start) for start in sorted(graph)), key=len):
        if circle and edges.isdisjoint(circle):
            edges.update(circle)
            found.append(circle)
    return found


def shortest_circle(graph: dict[Path, dict[Path, Edge]], start: Path) -> list[Edge]:
    """The shortest way from `start` back to it; empty if no way leads back."""
    ways = deque([(start, [])])
    seen = set()
    while ways:
        node, way = ways.popleft()
        for target, edge in graph.get(node, {}).items():
            if target == start:
                return [*way, edge]
            if target not in seen:
                seen.add(target)
                ways.append((target, [*way, edge]))
    return []


def describe(parent: Module, circle: list[Edge]) -> str:
    parts = [part_of(parent, edge.source).file.name for edge in circle]
    return "\n    ".join([f"circle: {' -> '.join([*parts, parts[0]])}", *map(str, circle)])
