"""The memory tool: its messages, its paths, and that it is the same as a dict of strings."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

import mnemic
from mnemic import Memory
from mnemic.adapters.memory_tool import MemoryTool
from mnemic.errors import InputError, StoreError
from mnemic.text.record import State

SECRET = "Quartz-Lemur-77"


@pytest.fixture
def tool(memory: Memory) -> MemoryTool:
    return MemoryTool(memory)


def create(tool: MemoryTool, path: str, text: str = "") -> str:
    return tool({"command": "create", "path": path, "file_text": text})


def view(tool: MemoryTool, path: str, **more: Any) -> str:
    return tool({"command": "view", "path": path, **more})


def content(tool: MemoryTool, path: str) -> str:
    return tool.files()[path].text.partition("\n")[2]


class TestView:
    def test_an_empty_memory_is_an_empty_directory(self, tool: MemoryTool) -> None:
        assert view(tool, "/memories").splitlines() == [
            "Here're the files and directories up to 2 levels deep in /memories, excluding hidden items and "
            "node_modules:",
            "0B\t/memories",
        ]

    def test_a_directory_lists_two_levels_with_sizes(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "é" * 1000)
        create(tool, "/memories/deep/b.md", "12345")
        create(tool, "/memories/deep/er/c.md", "1")
        create(tool, "/memories/deep/er/est/d.md", "1")
        create(tool, "/memories/.hidden/e.md", "1")
        create(tool, "/memories/node_modules/f.md", "1")
        assert view(tool, "/memories/").splitlines()[1:] == [
            "2K\t/memories",
            "2K\t/memories/a.md",
            "7B\t/memories/deep/",
            "5B\t/memories/deep/b.md",
            "2B\t/memories/deep/er/",
        ]
        assert view(tool, "/memories/deep").splitlines()[-1] == "1B\t/memories/deep/er/est/"

    def test_a_file_has_numbered_lines(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "one\n\tthree\n\nfour\n")
        assert view(tool, "/memories/a.md") == (
            "Here's the content of /memories/a.md with line numbers:\n"
            "     1\tone\n     2\t\tthree\n     3\t\n     4\tfour"
        )

    @pytest.mark.parametrize(
        ("wanted", "numbers"), [([2, 3], [2, 3]), ([2, -1], [2, 3, 4]), ([4, 9], [4]), ([1, 1], [1])]
    )
    def test_a_range_shows_its_lines(self, tool: MemoryTool, wanted: list[int], numbers: list[int]) -> None:
        create(tool, "/memories/a.md", "1\n2\n3\n4")
        shown = view(tool, "/memories/a.md", view_range=wanted).splitlines()[1:]
        assert shown == [f"{n:6}\t{n}" for n in numbers]

    @pytest.mark.parametrize("wanted", [[3, 2], [0, 1], [5, 6], [1], [1, 2, 3], "1-2", [1, -2], [True, 2], ["1", "2"]])
    def test_a_senseless_range_is_refused(self, tool: MemoryTool, wanted: Any) -> None:
        create(tool, "/memories/a.md", "1\n2\n3\n4")
        assert view(tool, "/memories/a.md", view_range=wanted).startswith("Error: Invalid `view_range` parameter")

    def test_what_is_not_there_is_told(self, tool: MemoryTool) -> None:
        assert view(tool, "/memories/a.md") == ("The path /memories/a.md does not exist. Please provide a valid path.")


class TestCreate:
    def test_says_so_and_keeps_every_character(self, tool: MemoryTool) -> None:
        text = " first\r\n\n\tlast \u00a0☂\n\n"
        assert create(tool, "/memories/notes/a b.md", text) == "File created successfully at: /memories/notes/a b.md"
        assert content(tool, "/memories/notes/a b.md") == text

    def test_does_not_overwrite(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "old")
        assert create(tool, "/memories/a.md", "new") == "Error: File /memories/a.md already exists"
        assert content(tool, "/memories/a.md") == "old"

    def test_no_file_where_a_directory_is_and_none_in_a_file(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a/b.md")
        assert create(tool, "/memories/a").startswith("Error: ")
        assert create(tool, "/memories/a/b.md/c").startswith("Error: /memories/a/b.md is a file")
        assert list(tool.files()) == ["/memories/a/b.md"]

    def test_can_come_back_after_being_deleted_or_moved_away(self, tool: MemoryTool) -> None:
        for n in range(3):
            assert "successfully" in create(tool, "/memories/a.md", str(n))
            assert "Successfully" in (
                tool({"command": "delete", "path": "/memories/a.md"})
                if n
                else tool({"command": "rename", "old_path": "/memories/a.md", "new_path": "/memories/b.md"})
            )
        assert list(tool.files()) == ["/memories/b.md"]

    def test_of_many_at_once_one_makes_it(self, tmp_path: Any) -> None:
        with mnemic.open(tmp_path / "s.db", encoders="lexical") as memory:
            said: list[str] = []
            threads = [
                threading.Thread(target=lambda n=n: said.append(create(MemoryTool(memory), "/memories/a.md", str(n))))
                for n in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sum("successfully" in each for each in said) == 1
            assert len(memory.scan()[0]) == 1

    def test_a_file_that_appears_while_one_is_made_is_not_doubled(
        self, memory: mnemic.Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another maker comes first after this one has looked for files, and after it has looked for ids."""
        for name in ("files", "get"):
            slow, path = MemoryTool(memory), f"/memories/{name}.md"
            owner: Any = slow if name == "files" else memory
            real, came = getattr(owner, name), []

            def looked(*given: Any, real: Any = real, came: list[bool] = came, path: str = path) -> Any:
                found = real(*given)
                if not came:
                    came.append(True)
                    assert "successfully" in create(MemoryTool(memory), path, "first")
                return found

            with monkeypatch.context() as patched:
                patched.setattr(owner, name, looked)
                assert "already exists" in create(slow, path, "second")
            assert "first" in slow({"command": "view", "path": path})


class TestEdits:
    def test_str_replace_shows_the_place(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "\n".join(str(n) for n in range(1, 21)))
        said = tool({"command": "str_replace", "path": "/memories/a.md", "old_str": "10\n11", "new_str": "ten"})
        assert said.startswith("The memory file has been edited.")
        assert [line.split("\t") for line in said.splitlines()[2:]] == [
            [f"{n:6}", text] for n, text in enumerate("6 7 8 9 ten 12 13 14 15".split(), 6)
        ][:9]

    def test_str_replace_wants_a_unique_match(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "tea\nand tea\naaa")
        replace = {"command": "str_replace", "path": "/memories/a.md", "new_str": "x"}
        assert tool({**replace, "old_str": "tea"}) == (
            "No replacement was performed. Multiple occurrences of old_str `tea` in lines: 1, 2. "
            "Please ensure it is unique"
        )
        assert "Multiple occurrences" in tool({**replace, "old_str": "aa"})  # they overlap: which one is meant?
        assert tool({**replace, "old_str": "Tea"}) == (
            "No replacement was performed, old_str `Tea` did not appear verbatim in /memories/a.md."
        )
        assert "No replacement" in tool({**replace, "old_str": ""})
        assert "does not exist" in tool({**replace, "path": "/memories/b.md", "old_str": "tea"})
        assert len(tool.memory.history(tool.files()["/memories/a.md"].id)) == 1

    def test_str_replace_with_nothing_deletes(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "keep, drop")
        tool({"command": "str_replace", "path": "/memories/a.md", "old_str": ", drop"})
        assert content(tool, "/memories/a.md") == "keep"

    @pytest.mark.parametrize(
        ("before", "at", "text", "after"),
        [
            ("a\nb\n", 0, "x", "x\na\nb\n"),
            ("a\nb\n", 1, "x\n", "a\nx\nb\n"),
            ("a\nb\n", 2, "x", "a\nb\nx"),
            ("a\nb", 2, "x\n", "a\nb\nx\n"),
            ("a\nb", 1, "x\ny", "a\nx\ny\nb"),
            ("a\nb", 1, "", "a\n\nb"),
            ("", 0, "x", "x"),
        ],
    )
    def test_insert_puts_lines_after_a_line(
        self, tool: MemoryTool, before: str, at: int, text: str, after: str
    ) -> None:
        create(tool, "/memories/a.md", before)
        said = tool({"command": "insert", "path": "/memories/a.md", "insert_line": at, "insert_text": text})
        assert said.startswith("The file /memories/a.md has been edited.")
        assert content(tool, "/memories/a.md") == after

    @pytest.mark.parametrize("at", [-1, 3, "1", None, True, 1.0])
    def test_insert_outside_the_file_is_refused(self, tool: MemoryTool, at: Any) -> None:
        create(tool, "/memories/a.md", "a\nb\n")
        said = tool({"command": "insert", "path": "/memories/a.md", "insert_line": at, "insert_text": "x"})
        assert said.startswith(f"Error: Invalid `insert_line` parameter: {at}.")
        assert "[0, 2]" in said

    def test_edits_are_versions(self, tool: MemoryTool, clock: Any) -> None:
        create(tool, "/memories/a.md", "The club meets in the library.")
        early = clock()
        clock.forward(days=9)
        tool({"command": "str_replace", "path": "/memories/a.md", "old_str": "the library", "new_str": "the old mill"})
        tool({"command": "rename", "old_path": "/memories/a.md", "new_path": "/memories/club.md"})
        record = tool.files()["/memories/club.md"]
        assert [v.text.replace("\n", "|") for v in tool.memory.history(record.id)] == [
            "/memories/a.md|The club meets in the library.",
            "/memories/a.md|The club meets in the old mill.",
            "/memories/club.md|The club meets in the old mill.",
        ]
        assert record.at == clock()
        (was,) = tool.memory.recall("Where does the club meet?", valid_at=early).hits
        assert "library" in was.text

    def test_facts_read_out_of_a_deleted_line_are_put_away(self, tool: MemoryTool, clock: Any) -> None:
        create(tool, "/memories/ana.md", "Ana lives in Porto.\nAna works as a nurse.")
        tool.memory.reflect()
        assert "Ana lives in Porto." in [record.text for record in tool.memory.scan()[0]]
        clock.forward(days=1)
        tool({"command": "str_replace", "path": "/memories/ana.md", "old_str": "Ana lives in Porto.\n"})
        tool.memory.reflect()
        assert [record.text for record in tool.memory.scan()[0] if record.kind != "turn"] == ["Ana works as a nurse."]


class TestDeleteAndRename:
    def test_a_deleted_file_is_forgotten(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", "The heron nests by the weir.")
        (hit,) = tool.memory.recall("heron").hits
        assert tool({"command": "delete", "path": "/memories/a.md"}) == "Successfully deleted /memories/a.md"
        assert not tool.memory.recall("heron").hits
        assert tool.memory.get(hit.id)[0].state == State.FORGOTTEN
        assert tool({"command": "delete", "path": "/memories/a.md"}) == (
            "Error: The path /memories/a.md does not exist"
        )

    def test_a_directory_goes_with_all_that_is_in_it(self, tool: MemoryTool) -> None:
        for path in ("/memories/d/a", "/memories/d/e/b", "/memories/dd"):
            create(tool, path)
        assert tool({"command": "delete", "path": "/memories/d"}) == "Successfully deleted /memories/d"
        assert list(tool.files()) == ["/memories/dd"]

    def test_the_root_stays(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a")
        assert tool({"command": "delete", "path": "/memories"}).startswith("Error")
        assert tool({"command": "rename", "old_path": "/memories", "new_path": "/memories/b"}).startswith("Error")
        assert list(tool.files()) == ["/memories/a"]

    def test_a_directory_is_renamed_whole(self, tool: MemoryTool) -> None:
        create(tool, "/memories/d/a", "A")
        create(tool, "/memories/d/e/b", "B")
        seq = tool.memory.stats()["seq"]
        said = tool({"command": "rename", "old_path": "/memories/d", "new_path": "/memories/x/y"})
        assert said == "Successfully renamed /memories/d to /memories/x/y"
        assert list(tool.files()) == ["/memories/x/y/a", "/memories/x/y/e/b"]
        assert tool.memory.stats()["seq"] == seq + 1  # in one transaction

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("/memories/a", "/memories/b", "Error: The destination /memories/b already exists"),
            ("/memories/a", "/memories/d", "Error: The destination /memories/d already exists"),
            ("/memories/d", "/memories/d/e", "Error: /memories/d cannot be moved to /memories/d/e"),
            ("/memories/c", "/memories/e", "Error: The path /memories/c does not exist"),
            ("/memories/a", "/memories/b/c", "Error: /memories/b is a file, so nothing can be in it"),
        ],
    )
    def test_what_cannot_be_renamed(self, tool: MemoryTool, old: str, new: str, said: str) -> None:
        for path in ("/memories/a", "/memories/b", "/memories/d/c"):
            create(tool, path)
        assert tool({"command": "rename", "old_path": old, "new_path": new}) == said
        assert list(tool.files()) == ["/memories/a", "/memories/b", "/memories/d/c"]


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/memories/../etc/passwd",
            "/memories/..",
            "/memories/a/../../b",
            "/memories/%2e%2e/etc/passwd",
            "/memories/%2E%2E%2Fetc",
            "/memories/%252e%252e/etc",
            "/memories/..%2f..",
            "/memories/..\\..\\etc",
            "/memories/a%5c..%5cb",
        ],
    )
    def test_climbing_out_is_refused(self, tool: MemoryTool, path: str) -> None:
        for command in ("view", "create", "str_replace", "insert", "delete"):
            said = tool({"command": command, "path": path, "file_text": "", "old_str": "a", "insert_line": 0})
            assert said == f"Error: Path {path} would escape /memories. Please provide a valid path."
        create(tool, "/memories/a")
        assert "would escape" in tool({"command": "rename", "old_path": "/memories/a", "new_path": path})
        assert list(tool.files()) == ["/memories/a"]

    @pytest.mark.parametrize("path", ["", "/", "memories/a", "/etc/passwd", "/memoriesx", "/Memories/a", "C:\\a"])
    def test_elsewhere_is_refused(self, tool: MemoryTool, path: str) -> None:
        assert create(tool, path).startswith("Error: Path must start with /memories")

    @pytest.mark.parametrize("path", ["/memories/a\nb", "/memories/a\0", "/memories/a\\b", "/memories/" + "x" * 1000])
    def test_what_is_no_path_is_refused(self, tool: MemoryTool, path: str) -> None:
        assert "is no path" in create(tool, path)

    def test_one_file_has_one_spelling(self, tool: MemoryTool) -> None:
        create(tool, "/memories//a/./b")
        assert list(tool.files()) == ["/memories/a/b"]
        assert "already exists" in create(tool, "/memories/a/b/")

    @pytest.mark.parametrize("path", ["/memories/100%.md", "/memories/a..b", "/memories/日本.md", "/memories/%41"])
    def test_odd_names_are_names(self, tool: MemoryTool, path: str) -> None:
        create(tool, path, "x")
        assert list(tool.files()) == [path]


class TestCommands:
    @pytest.mark.parametrize(
        ("command", "told"),
        [
            ({}, "Unknown command None"),
            ({"command": "undo_edit"}, "Unknown command 'undo_edit'"),
            ({"command": ["view"]}, "Unknown command"),
            ({"command": "view"}, "view needs `path`, a string"),
            ({"command": "create", "path": "/memories/a"}, "create needs `file_text`, a string"),
            ({"command": "create", "path": "/memories/a", "file_text": 3}, "create needs `file_text`, a string"),
            ({"command": "create", "path": "/memories/a", "file_text": "x" * 1_000_001}, "over 1,000,000"),
        ],
    )
    def test_what_is_wrong_is_told_and_changes_nothing(
        self, tool: MemoryTool, command: dict[str, Any], told: str
    ) -> None:
        assert told in tool(command)
        assert not tool.files()

    def test_a_broken_store_is_no_answer_for_a_model(self, tool: MemoryTool) -> None:
        tool.memory.close()
        with pytest.raises(StoreError):
            view(tool, "/memories")
        with pytest.raises(InputError):
            tool.run({"command": "undo"})


class TestSecrets:
    TEXT = f"before\nMy password is {SECRET}.\nafter"

    def test_are_masked_where_shown_and_kept_where_stored(self, tool: MemoryTool) -> None:
        create(tool, "/memories/a.md", self.TEXT)
        assert SECRET not in view(tool, "/memories/a.md")
        assert "[secret:password]" in view(tool, "/memories/a.md")
        said = tool({"command": "str_replace", "path": "/memories/a.md", "old_str": "after", "new_str": "end"})
        assert SECRET not in said
        assert content(tool, "/memories/a.md") == self.TEXT.replace("after", "end")
        replace = {"command": "str_replace", "path": "/memories/a.md", "old_str": "is [secret:password]"}
        assert "Secrets are stored as they were" in tool(replace)
        assert SECRET in view(MemoryTool(tool.memory, secrets=True), "/memories/a.md")

    def test_leave_the_lines_their_numbers(self, tool: MemoryTool) -> None:
        key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq1\n" * 6 + "-----END RSA PRIVATE KEY-----"
        create(tool, "/memories/key", f"first\n{key}\nlast")
        shown = view(tool, "/memories/key")
        assert "MIIEpAIBAAKCAQEA7bq1" not in shown
        assert shown.splitlines()[-1] == "    10\tlast"


def test_other_memories_are_no_files(tool: MemoryTool) -> None:
    tool.memory.remember("/memories/a.md\nlooks like one", session="/memories/a.md")
    assert not tool.files()
    create(tool, "/memories/a.md", "is one")
    assert len(tool.files()) == 1


NAMES = st.sampled_from(["a", "ab", "c.md", "d e", ".h", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/".join(["/memories", *parts]))
TEXTS = st.text(st.sampled_from("ab\n\t ☂"), max_size=12)


class Files(RuleBasedStateMachine):
    """The tool beside a plain dict of strings that does the same by simpler means."""

    paths = Bundle("paths")

    @initialize()
    def start(self) -> None:
        self.memory = mnemic.open(":memory:", encoders="lexical", clock=lambda: datetime(2024, 3, 1, tzinfo=UTC))
        self.tool = MemoryTool(self.memory)
        self.plain: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()

    def under(self, path: str) -> list[str]:
        return [each for each in self.plain if each == path or each.startswith(path + "/")]

    def blocked(self, path: str) -> bool:
        return any(path.startswith(each + "/") for each in self.plain)

    @rule(target=paths, path=PATHS)
    def name(self, path: str) -> str:
        return path

    @rule(path=paths, text=TEXTS)
    def create(self, path: str, text: str) -> None:
        said = create(self.tool, path, text)
        if self.under(path) or self.blocked(path):
            assert said.startswith("Error")
        else:
            assert said == f"File created successfully at: {path}"
            self.plain[path] = text

    @rule(path=paths, old=TEXTS, new=TEXTS)
    def replace(self, path: str, old: str, new: str) -> None:
        said = self.tool({"command": "str_replace", "path": path, "old_str": old, "new_str": new})
        before = self.plain.get(path)
        places = [n for n in range(len(before)) if before.startswith(old, n)] if before and old else []
        if before is not None and len(places) == 1:
            assert said.startswith("The memory file has been edited.")
            self.plain[path] = before.replace(old, new, 1)
        else:
            assert said.startswith(("No replacement", "Error"))

    @rule(path=paths, at=st.integers(-1, 6), text=TEXTS)
    def insert(self, path: str, at: int, text: str) -> None:
        said = self.tool({"command": "insert", "path": path, "insert_line": at, "insert_text": text})
        before = self.plain.get(path)
        lines = re.findall(r"[^\n]*\n|[^\n]+$", before or "")
        if before is None or not 0 <= at <= len(lines):
            assert said.startswith("Error")
            return
        assert said.startswith(f"The file {path} has been edited.")
        head = [line if line.endswith("\n") else line + "\n" for line in lines[:at]]
        own = text if text and (text.endswith("\n") or at == len(lines)) else text + "\n"
        self.plain[path] = "".join([*head, own, *lines[at:]])

    @rule(path=consumes(paths))
    def delete(self, path: str) -> None:
        said = self.tool({"command": "delete", "path": path})
        gone = self.under(path)
        assert said.startswith("Successfully" if gone else "Error")
        for each in gone:
            del self.plain[each]

    @rule(old=paths, new=paths)
    def rename(self, old: str, new: str) -> None:
        said = self.tool({"command": "rename", "old_path": old, "new_path": new})
        moved = self.under(old)
        if not moved or self.under(new) or self.blocked(new) or (new + "/").startswith(old + "/"):
            assert said.startswith("Error")
        else:
            assert said == f"Successfully renamed {old} to {new}"
            for each in moved:
                self.plain[new + each[len(old) :]] = self.plain.pop(each)

    @rule(path=paths)
    def view(self, path: str) -> None:
        said = view(self.tool, path)
        if path in self.plain:
            lines = re.findall(r"([^\n]*)\n|([^\n]+)$", self.plain[path])
            assert said.split("\n")[1:] == ([f"{n:6}\t{a or b}" for n, (a, b) in enumerate(lines, 1)] or [""])
        elif self.under(path):
            files = [line.split("\t")[1] for line in said.splitlines()[1:]]
            shown = {each for each in self.under(path) if "/.h" not in each[len(path) :]}
            assert {each for each in files if each in self.plain} == {
                each for each in shown if each[len(path) :].count("/") <= 2
            }
        else:
            assert "does not exist" in said

    @invariant()
    def same(self) -> None:
        if hasattr(self, "tool"):
            found = {path: record.text.partition("\n")[2] for path, record in self.tool.files().items()}
            assert found == dict(sorted(self.plain.items()))


Files.TestCase.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestFiles = Files.TestCase
