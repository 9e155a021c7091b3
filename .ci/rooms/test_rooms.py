"""The check of rooms finds each kind of offence, and nothing in a tree without one."""

import tempfile
import unittest
from pathlib import Path

from check import check_crate, check_workspace

GOOD = {
    "lib.rs": """
        //! A crate root that only declares and hands on, `use crate::store::Never` in a comment.
        mod door; /* mod never; /* nested */ */
        mod engine;
        mod store;
        pub use crate::{door::Door, store::{Item, limits::LIMIT}};
        """,
    "door.rs": """
        use std::{fmt, sync::Arc};
        use crate::{engine::Engine, Item};
        pub struct Door<'a> { engine: &'a Engine, quote: char }
        impl Door<'_> { fn quote() -> (char, &'static str) { ('"', r#"use crate::door"; "#) } }
        """,
    "engine.rs": """
        use crate::store::Item;
        pub struct Engine;
        impl Engine { pub fn take(self) -> Item { crate::store::limits::LIMIT.into() } }
        #[cfg(test)]
        mod tests { use super::*; use crate::door::Door; }
        #[cfg(test)]
        use crate::door::Door as OnlyForTests;
        """,
    "store.rs": """
        mod item;
        pub(crate) mod limits;
        pub(crate) use self::{item::Item, limits::LIMIT};
        """,
    "store/item.rs": "use super::limits::LIMIT; pub struct Item { pub limit: [u8; LIMIT] }",
    "store/limits.rs": "pub const LIMIT: usize = 3;",
}
ROOMS = ["door", "engine", "store"]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


class Rooms(unittest.TestCase):
    def check(self, changed: dict[str, str], rooms: list[str] = ROOMS) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), GOOD | changed)
            return [problem.replace(f"{folder}/", "") for problem in check_crate(Path(folder), rooms)]

    def assert_only(self, problems: list[str], *parts: str) -> None:
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def assert_upward(self, changed: dict[str, str], *parts: str) -> None:
        problems = [problem for problem in self.check(changed) if not problem.startswith("circle: ")]
        self.assert_only(problems, "must not import from `door`, which is listed before it", *parts)

    def test_good_tree_passes(self):
        self.assertEqual(self.check({}), [])

    def test_upward_import(self):
        self.assert_upward({"store/item.rs": "\n\nuse crate::door::Door;"}, "store/item.rs:3: crate::door::Door")

    def test_upward_import_in_a_group_over_several_lines(self):
        grouped = "use crate::{\n    door::{\n        self as front,\n    },\n};"
        self.assert_upward({"store/item.rs": grouped}, "store/item.rs:3: crate::door")

    def test_upward_import_behind_a_reexport_of_the_crate_root(self):
        self.assert_upward({"store/item.rs": "use crate::Door;"}, "store/item.rs:1: crate::Door")

    def test_upward_import_that_is_handed_on(self):
        self.assert_upward({"store.rs": GOOD["store.rs"] + "pub(crate) use crate::door::Door;"}, "store.rs:5")

    def test_upward_import_by_an_inline_path(self):
        self.assert_upward({"store/item.rs": "fn f() { crate::door::Door::open::<u8>() }"}, "crate::door::Door::open")

    def test_upward_import_by_super(self):
        self.assert_upward({"store/item.rs": "use super::super::door::Door;"}, "super::super::door::Door")

    def test_upward_import_by_a_glob(self):
        self.assert_upward({"engine.rs": "use crate::door::*;"}, "engine.rs:1: crate::door")

    def test_upward_import_inside_an_inline_module(self):
        self.assert_upward({"engine.rs": "mod inner { use super::super::door::Door; }"}, "engine.rs:1")

    def test_upward_import_behind_code_of_tests(self):
        changed = "#[cfg(test)] use crate::door::{Door};\n#[cfg(test)] const X: [u8; 1] = { [1] };\nuse crate::Door;"
        self.assert_upward({"engine.rs": changed}, "engine.rs:3: crate::Door")

    def test_visibility_is_no_import(self):
        self.assertEqual(self.check({"store/limits.rs": "pub(in crate::store) const LIMIT: usize = 3;"}), [])

    def test_circle_of_two_files(self):
        changed = {"store/limits.rs": "use crate::store::item::Item; pub const LIMIT: usize = 3;"}
        lines = ("store/item.rs:1: super::limits::LIMIT", "store/limits.rs:1: crate::store::item::Item")
        self.assert_only(self.check(changed), "circle: item.rs -> limits.rs -> item.rs", *lines)

    def test_circle_of_rooms(self):
        problems = self.check({"engine.rs": "use crate::door::Door; pub struct Engine(Door);"})
        self.assert_only(problems[1:], "circle: door.rs -> engine.rs -> door.rs")

    def test_path_by_an_imported_module(self):
        changed = "use crate::store; pub struct Engine(store::Item);"
        self.assertEqual(self.check({"engine.rs": changed}), [])
        self.assert_upward({"store/item.rs": "use crate::door; fn f() { door::open() }"}, "store/item.rs:1: crate::door:")

    def test_circle_by_super_behind_a_reexport_of_the_parent(self):
        changed = {"store/limits.rs": "use super::Item; pub const LIMIT: usize = 3;"}
        self.assert_only(self.check(changed), "circle: item.rs -> limits.rs -> item.rs")

    def test_circle_by_an_inline_path(self):
        changed = {"store/limits.rs": "pub const LIMIT: usize = super::item::Item::LIMIT;"}
        self.assert_only(self.check(changed), "circle: item.rs -> limits.rs -> item.rs", "super::item::Item::LIMIT")

    def test_circle_of_a_child_and_its_parent(self):
        changed = {
            "store.rs": GOOD["store.rs"] + "\npub(crate) struct Store { item: item::Item }",
            "store/item.rs": "use super::Store; pub struct Item;",
        }
        self.assert_only(self.check(changed), "circle: item.rs -> store.rs -> item.rs", "store/item.rs:1: super::Store")

    def test_circle_of_a_child_and_a_parent_that_uses_what_it_hands_on(self):
        changed = {
            "store.rs": GOOD["store.rs"] + "\npub(crate) struct Store { item: Item }",
            "store/item.rs": "use super::Store; pub struct Item;",
        }
        self.assert_only(self.check(changed), "circle: item.rs -> store.rs -> item.rs")

    def test_parent_with_items_that_only_hands_on_its_children(self):
        changed = {
            "store.rs": GOOD["store.rs"] + "\npub(crate) struct Store { limit: usize }",
            "store/item.rs": "use super::Store; pub struct Item { store: Store }",
        }
        self.assertEqual(self.check(changed), [])

    def test_names_that_children_take_from_the_imports_of_their_parent(self):
        changed = {
            "engine.rs": "mod part; use crate::store::Item; pub struct Engine { part: part::Part, item: Item }",
            "engine/part.rs": "use super::Item; pub struct Part(Item);",
        }
        self.assertEqual(self.check(changed), [])

    def test_circle_of_two_folders_whose_files_form_none(self):
        changed = {
            "store.rs": "pub mod a; pub mod b; pub use self::{a::one::Item, b::one::LIMIT}; pub mod limits;",
            "store/a.rs": "pub mod one; pub mod two;",
            "store/a/one.rs": "use crate::store::b::one::LIMIT; pub struct Item;",
            "store/a/two.rs": "pub struct Two;",
            "store/b.rs": "pub mod one; pub mod two;",
            "store/b/one.rs": "pub const LIMIT: usize = 1;",
            "store/b/two.rs": "use crate::store::a::two::Two;",
        }
        self.assert_only(self.check(changed), "circle: a.rs -> b.rs -> a.rs", "store/b/two.rs:1")

    def test_circle_with_the_crate_root(self):
        changed = {
            "lib.rs": GOOD["lib.rs"] + "fn open() { door::open() }\npub(crate) fn is_open() {}",
            "door.rs": "pub fn open() { crate::is_open() } pub struct Door;",
        }
        problems = self.check(changed, ["lib", *ROOMS])
        self.assertEqual([problem.split("\n")[0].rpartition("/")[2] for problem in problems], [
            "door.rs:1: crate::is_open: the room `door` must not import from `lib`, which is listed before it",
            "circle: door.rs -> lib.rs -> door.rs",
        ])

    def test_room_that_is_not_in_the_list(self):
        self.assert_only(self.check({}, ["door", "store"]), "the room `engine` is not in the list")

    def test_list_with_a_room_that_is_gone(self):
        self.assert_only(self.check({}, [*ROOMS, "attic"]), "there is no room `attic`")

    def test_every_crate_of_the_workspace_needs_a_list(self):
        files = {f"{crate}/src/{name}": text for crate in ("one", "two") for name, text in GOOD.items()}
        files["Cargo.toml"] = '[workspace]\nmembers = ["one", "two"]'
        files[".ci/rooms.toml"] = f'"one/src" = {ROOMS}\n"three/src" = []'
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), files)
            problems = check_workspace(Path(folder))
        self.assertEqual(problems, [
            ".ci/rooms.toml: three/src is not a crate of the workspace",
            ".ci/rooms.toml: has no list for two/src",
        ])


if __name__ == "__main__":
    unittest.main()
