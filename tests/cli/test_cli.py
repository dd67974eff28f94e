"""The command line: output, exit codes, standard input, and what goes in and out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mnemic
from mnemic import Turn
from mnemic.cli.app import COMMANDS, run
from mnemic.text import opening

PASSWORD = "Quartz-Lemur-77"
MNEMIC = [sys.executable, "-c", "from mnemic.cli import main; main()"]


@dataclass
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store that the commands use without being told; no model is installed there."""
    monkeypatch.setenv("MNEMIC_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(opening.models, "installed", lambda name: None)
    monkeypatch.setattr(opening, "_told", True)
    for name in ("MNEMIC_SPACE", "MNEMIC_MODEL", "MNEMIC_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "store"


@pytest.fixture
def call(store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run one command in this process; ``stdin`` is what it can read."""

    def called(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsys.readouterr()
        code = run([str(each) for each in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return called


@pytest.fixture
def filled(call: Call, store: Path) -> Call:
    """The same, with four turns stored and reflected upon."""
    with mnemic.open(store, encoders="lexical") as memory:
        memory.remember(
            [
                Turn("I live in Lisbon.", "Ana", opening.datetime(2023, 1, 1), "s1", id="a"),
                Turn("I moved to Porto.", "Ana", opening.datetime(2024, 1, 1), "s2", id="b"),
                Turn(f"The wifi password is {PASSWORD}.", "Ben", opening.datetime(2024, 2, 1), "s3", id="p"),
                Turn("[/red] Herons eat fish.\nAnd \x1b[31mfrogs.", "[bold]Ben\x1b", None, "s4", id="[/h]"),
            ]
        )
        memory.reflect()
    return call


def process(*arguments: object, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run one command as a process of its own."""
    return subprocess.run(
        [*MNEMIC, *map(str, arguments)],
        input=stdin, capture_output=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


class TestHelp:
    def test_every_command_says_what_it_does(self, call: Call) -> None:
        told = call("--help")
        assert told.code == 0
        for name in [*COMMANDS, "models", "bench"]:
            assert name in told.out

    @pytest.mark.parametrize(
        "name",
        [
            *(name for name in COMMANDS if name != "mcp"),  # whose output is the protocol
            *("models list", "models pull", "models remove", "models verify"),
            *("token create", "token list", "token revoke"),
        ],
    )
    def test_every_command_has_help_and_json(self, call: Call, name: str) -> None:
        told = call(*name.split(), "-h")
        assert told.code == 0
        assert "--json" in told.out

    def test_version(self, call: Call) -> None:
        assert call("--version").out == f"{mnemic.__version__}\n"

    def test_a_typo_gets_a_suggestion(self, call: Call) -> None:
        told = call("recal", "x")
        assert told.code == 2
        assert "recall" in told.err

    @pytest.mark.parametrize(
        "arguments",
        [["recall"], ["recall", "x", "-k", "0"], ["recall", "x", "--budget", "0"], ["recall", "x", "--colour", "blue"],
         ["import", "auto", "/none/such"], ["restore", "/none/such"]],
        ids=" ".join,
    )  # fmt: skip
    def test_a_wrong_call_is_exit_code_2(self, call: Call, arguments: list[str]) -> None:
        told = call(*arguments)
        assert (told.code, told.out) == (2, "")
        assert told.err


class TestVerbs:
    def test_remember_and_recall(self, call: Call) -> None:
        stored = call(
            "remember", "The heron nests by the weir.", "--speaker", "Ana", "--at", "2023-05-08T13:56", "--json"
        )
        (id,) = stored.json["ids"]
        found = call("recall", "heron", "--json")
        assert (stored.code, found.code) == (0, 0)
        (hit,) = found.json["hits"]
        assert (hit["id"], hit["n"], hit["speaker"]) == (id, 1, "Ana")
        assert hit["at"] == "2023-05-08T13:56:00+00:00"
        assert found.json["text"] == "[1] Mon 2023-05-08 13:56 Ana: The heron nests by the weir."
        assert 0 <= found.json["confidence"] <= 1
        plain = call("recall", "heron").out
        assert "[1] Mon 2023-05-08 13:56 Ana" in plain
        assert "confidence" in plain
        assert " ms" in plain
        assert call("recall", "heron", "--prompt").out == found.json["text"] + "\n"

    def test_calls_a_minute_apart_are_one_session(self, call: Call) -> None:
        for minute in ("00", "01", "59"):
            call("remember", "heron", "--at", f"2023-05-08T13:{minute}")
        hits = call("recall", "heron", "--json").json["hits"]
        assert len({hit["session"] for hit in hits}) == 2

    @pytest.mark.parametrize("verb", ["recall", "ask"])
    def test_nothing_relevant_is_exit_code_3(self, filled: Call, verb: str) -> None:
        for json_flag in ([], ["--json"]):
            told = filled(verb, "submarine cables", *json_flag)
            assert told.code == 3
            assert told.err == ""
        assert "Nothing relevant is stored" in filled(verb, "submarine cables").out

    def test_recall_takes_every_filter(self, filled: Call) -> None:
        def ids(*options: str) -> set[str]:
            found = filled("recall", "Ana Lisbon Porto wifi herons lives moved", "--json", *options)
            return {hit["id"] for hit in found.json["hits"] if hit["kind"] == "turn"}

        assert ids("--speaker", "Ana") == {"a", "b"}
        assert ids("--speaker", "Ana", "--speaker", "Ben") == {"a", "b", "p"}
        assert ids("--session", "s1") == {"a"}
        assert ids("--since", "2023-06-01", "--until", "2024-01-15") == {"b"}
        assert ids("--phrase", "wifi password") == {"p"}
        assert ids("--kind", "fact") == set()
        assert len(filled("recall", "Ana", "--kind", "fact", "--json").json["hits"]) == 1
        assert len(filled("recall", "Ana Lisbon Porto", "-k", "1", "--json").json["hits"]) == 1
        past = filled("recall", "Where does Ana live?", "--valid-at", "2023-06-01", "--json").json["hits"]
        assert past[0]["text"] == "Ana lives in Lisbon."
        assert filled("recall", "Ana", "--as-of", "2020-01-01").code == 3

    def test_ask_quotes_and_cites(self, filled: Call) -> None:
        told = filled("ask", "Where does Ana live now?", "--json")
        assert told.code == 0
        assert "Porto" in told.json["text"]
        assert told.json["found"]
        assert told.json["citations"]
        assert "Porto" in filled("ask", "Where does Ana live now?").out

    def test_revise_and_history(self, filled: Call) -> None:
        revised = filled("revise", "b", "I moved to Faro.", "--at", "2024-03-01", "--json")
        (new,) = set(revised.json["ids"]) - {"b"}
        versions = filled("history", new, "--json").json
        assert [(v["id"], v["version"], v["state"]) for v in versions] == [("b", 1, "superseded"), (new, 2, "active")]
        assert "I moved to Faro." in filled("history", "b").out
        assert filled("revise", "b", "again").code == 1
        assert filled("revise", new, "").code == 2

    def test_get(self, filled: Call) -> None:
        (record,) = filled("get", "a", "--json").json
        assert (record["text"], record["kind"], record["state"]) == ("I live in Lisbon.", "turn", "active")
        assert "I live in Lisbon." in filled("get", "a", "b").out
        assert filled("get", "a", "none").code == 3
        assert filled("get", "a", "--as-of", "2020-01-01").code == 3

    def test_forget_asks_first(self, filled: Call) -> None:
        told = filled("forget", "a", stdin=b"n\n")
        assert told.code == 1
        assert "2 would go" in told.out
        assert filled("get", "a", "--json").json[0]["state"] == "active"
        assert filled("forget", "a", stdin=b"y\n").code == 0
        assert filled("get", "a", "--json").json[0]["state"] == "forgotten"

    def test_forget_in_its_other_ways(self, filled: Call) -> None:
        assert filled("forget", "wifi", "--preview").code == 0
        assert [r["id"] for r in filled("forget", "wifi", "--preview", "--json").json["named"]] == ["p"]
        assert filled("forget", "zebra", "--yes").code == 3
        assert filled("forget", "the", "--yes").code == 2
        assert filled("forget", "a", "none", "--yes").code == 1
        assert filled("forget", "wifi", "--yes", "--json").json["ids"] == ["p"]
        erased = filled("forget", "a", "b", "--erase", "--yes", "--json").json
        assert len(erased["ids"]) == 4
        assert not erased["pending"]
        assert filled("get", "a").code == 3

    def test_reflect_and_stats(self, filled: Call) -> None:
        assert filled("reflect", "--json").json == {"derived": 0, "superseded": 0}
        assert "0 derived" in filled("reflect").out
        told = filled("stats", "--json").json
        assert (told["system"], told["kinds"]) == ("mnemic", {"fact": 1, "turn": 4})
        assert "turn 4" in filled("stats").out

    def test_ids_and_texts_are_shown_as_they_are_and_harmless(self, filled: Call) -> None:
        for arguments in (
            ["recall", "herons"],
            ["get", "[/h]"],
            ["history", "[/h]"],
            ["forget", "herons", "--preview"],
        ):
            told = filled(*arguments)
            assert told.code == 0
            assert "\x1b" not in told.out
            assert "[/red] Herons eat fish." in told.out
        assert "[/h]" in filled("forget", "[/h]", "--yes").out

    def test_long_lines_are_not_broken_for_a_pipe(self, call: Call) -> None:
        text = "The heron " + "walks and " * 30 + "flies."
        call("remember", text)
        assert text in call("recall", "heron").out
        assert text in call("get", call("recall", "heron", "--json").json["hits"][0]["id"]).out


class TestErrors:
    def test_are_told_on_standard_error_with_what_to_do(self, filled: Call) -> None:
        told = filled("history", "none")
        assert (told.code, told.out) == (1, "")
        assert "error: no memory has the id 'none'" in told.err

    def test_are_json_when_asked(self, filled: Call) -> None:
        told = filled("recall", "x", "--kind", "poem", "--json")
        assert (told.code, told.out) == (2, "")
        assert json.loads(told.err)["error"] == "InputError"
        told = filled("history", "none", "--json")
        assert json.loads(told.err)["error"] == "NotFoundError"

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["recall", "x", "--store", "/none/such"], 1),
            (["recall", "x", "--space", "none"], 1),
            (["remember", "x", "--store", "/dev/null"], 1),
            (["remember", "x", "--store", __file__], 2),
            (["remember", "x", "--store", "/dev/null/below"], 1),
            (["remember", "x", "--system", "hippocampus", "--space", "new"], 1),
            (["remember", "x", "--system", "hema"], 1),
            (["remember", "x", "--encoders", "elephant", "--space", "new"], 1),
            (["remember", " "], 2),
            (["remember", "x", "--at", "soon"], 2),
            (["recall", "x", "--now", "soon"], 2),
            (["ask", "x", "--base-url", "http://127.0.0.1:9"], 2),
            (["export", "/none/such/file"], 1),
            (["rebuild", "--space", "none"], 1),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
    )
    def test_have_their_exit_codes(self, filled: Call, arguments: list[str], code: int) -> None:
        told = filled(*arguments)
        assert (told.code, told.out) == (code, "")
        assert told.err.startswith("error: ")
        assert "Traceback" not in told.err

    def test_a_model_that_is_not_there_is_a_clear_error(self, filled: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        from mnemic.errors import LanguageError

        class Gone:
            name = "gone"

            def complete(self, *_: Any, **__: Any) -> Any:
                raise LanguageError("the server at 127.0.0.1 does not answer: start it")

        monkeypatch.setattr("mnemic.cli.options.language", lambda model, url: Gone() if model else None)
        told = filled("ask", "Where does Ana live?", "--model", "gone")
        assert (told.code, told.out) == (1, "")
        assert "start it" in told.err

    def test_an_interruption_is_exit_code_130(self, filled: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(mnemic.Memory, "recall", interrupted)
        told = filled("recall", "x")
        assert told.code == 130
        assert "what was acknowledged is stored" in told.err


class TestSecrets:
    def test_are_shown_by_get_with_secrets_only(self, filled: Call, tmp_path: Path) -> None:
        filled("revise", "p", f"The new wifi password is {PASSWORD}!")
        for arguments in (
            ["recall", "wifi password"],
            ["ask", "What is the wifi password?"],
            ["get", "p"],
            ["history", "p"],
            ["forget", "wifi", "--preview"],
            ["stats"],
            ["export", "-"],
            ["forget", "wifi", "--yes"],
        ):
            for more in ([], ["--json"]):
                told = filled(*arguments, *more)
                assert PASSWORD not in told.out + told.err
        assert filled("recall", PASSWORD).code == 3
        filled("export", tmp_path / "masked")
        assert PASSWORD not in (tmp_path / "masked").read_text()
        assert PASSWORD in filled("get", "p", "--secrets").out
        assert PASSWORD in filled("get", "p", "--secrets", "--json").out
        assert PASSWORD in filled("export", "-", "--secrets").out


class TestStandardInput:
    def test_is_a_text(self, call: Call) -> None:
        assert call("remember", "-", stdin="Der Reiher\nfrißt Fische. 鷺".encode()).code == 0
        assert "frißt" in call("recall", "-", stdin=b"Reiher").out
        assert call("ask", "-", stdin=b"Reiher").code == 0

    def test_nothing_is_nothing(self, call: Call) -> None:
        assert call("remember", "-").code == 2

    def test_what_is_no_text_is_refused(self, call: Call) -> None:
        told = call("remember", "-", stdin=b"\xff\xfe\x00")
        assert told.code == 2
        assert "not UTF-8" in told.err


class TestTransfer:
    def test_importing_twice_adds_nothing(self, call: Call, tmp_path: Path) -> None:
        file = tmp_path / "turns.jsonl"
        file.write_text("".join(json.dumps({"text": f"heron {i}", "speaker": "Ana"}) + "\n" for i in range(5)))
        first, again = (call("import", "auto", file, "--json") for _ in range(2))
        assert first.code == again.code == 0
        assert (first.json["format"], first.json["stored"], first.json["skipped"]) == ("jsonl", 5, 0)
        assert (again.json["stored"], again.json["skipped"]) == (0, 5)
        assert "0 turns stored, 5 already there" in call("import", "jsonl", file).out
        assert call("stats", "--json").json["records"] == 5

    def test_a_bad_import_is_refused(self, call: Call, tmp_path: Path) -> None:
        file = tmp_path / "turns.jsonl"
        file.write_text('{"text": "heron"}\n{"text"\n')
        assert call("import", "jsonl", file).code == 2
        assert call("import", "poem", file).code in (1, 2)
        assert call("import", "jsonl", file, "--skip-bad", "--json").json["stored"] == 1

    def test_export_and_restore(self, filled: Call, tmp_path: Path) -> None:
        file = tmp_path / "export.jsonl"
        told = filled("export", file, "--secrets", "--json")
        lines = file.read_text().rstrip("\n").split("\n")
        assert told.json == {"path": str(file), "lines": len(lines)}
        assert not list(tmp_path.glob("*.part"))
        assert filled("restore", file, "--space", "copy", "--json").json == {"restored": 6}
        piped = filled("restore", "-", "--space", "other", stdin=filled("export", "-", "--secrets").out.encode())
        assert piped.out == "6 records restored\n"
        assert filled("spaces", "--json").json == ["copy", "default", "other"]
        assert filled("spaces").out == "copy\ndefault\nother\n"
        for space in ("copy", "other"):
            again = filled("export", "-", "--secrets", "--space", space).out.rstrip("\n").split("\n")
            assert again[1:] == lines[1:]
        refused = filled("restore", file)
        assert refused.code == 1
        assert "not empty" in refused.err

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"[1]", b"5", b"{}", b'{"mnemic": 1}', b'{"mnemic": 2, "system": "mnemic"}', b"\xff\xfe",
                    b'{"mnemic": 1, "system": "mnemic"}\n{"item": {}}', b'{"mnemic": 1, "system": "mnemic"}\n{"it'],
        ids=repr,
    )  # fmt: skip
    def test_what_is_no_export_is_refused(self, call: Call, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "export.jsonl"
        file.write_bytes(content)
        told = call("restore", file)
        assert (told.code, told.out) == (2, "")

    def test_rebuild(self, filled: Call) -> None:
        told = filled("rebuild", "--system", "hema", "--encoders", "lexical", "--json")
        assert told.json["system"] == "hema"
        assert filled("stats", "--json").json["system"] == "hema"
        assert filled("recall", "herons").code == 0
        assert "system mnemic" in filled("rebuild", "--system", "mnemic", "--encoders", "lexical").out


class TestInstallation:
    def test_systems(self, call: Call) -> None:
        assert "mnemic" in {row["name"] for row in call("systems", "--json").json}
        assert "mnemic" in call("systems").out

    def test_models(self, call: Call) -> None:
        rows = call("models", "list", "--json").json
        (row,) = (row for row in rows if row["name"] == "splade-tiny")
        assert set(row) == {"name", "installed", "bytes", "licence", "origin", "about"}
        assert row["licence"]
        assert "splade-tiny" in call("models", "list").out
        assert call("models", "pull", "elephant").code == 1

    def test_doctor(self, filled: Call, store: Path) -> None:
        rows = {row["check"]: row for row in filled("doctor", "--json").json}
        assert all(row["ok"] for row in rows.values())
        assert rows["space default"]["detail"].startswith("6 records")
        with (store / "default.db").open("r+b") as file:
            file.seek(100)
            file.write(b"\xff" * 50_000)
        told = filled("doctor", "--json")
        assert told.code == 1
        assert not next(row for row in told.json if row["check"] == "space default")["ok"]
        assert "FAILED" in filled("doctor").out


class TestDemo:
    @pytest.mark.slow
    def test_answers_every_question(self, call: Call, tmp_path: Path) -> None:
        from mnemic import demo

        questions = demo.questions()
        told = call("demo", "--store", tmp_path / "demo")
        assert told.code == 0
        for question in questions:
            assert f"? {question.question}" in told.out
        assert told.out.count("  confidence ") == told.out.count(" ms\n") == len(questions)
        assert told.out.count("  [1] ") >= len(questions) * 0.8
        rows = call("demo", "--store", tmp_path / "demo", "--json").json
        assert [row["question"] for row in rows] == [question.question for question in questions]
        assert all({"hits", "confidence", "trace"} <= set(row) for row in rows)

    def test_fresh_takes_away_its_own_space_only(
        self, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mnemic.cli import demo

        monkeypatch.setattr(demo.conversation, "turns", lambda: demo.conversation_turns)
        monkeypatch.setattr(
            demo, "conversation_turns", [Turn("heron", "Ana", opening.datetime(2024, 1, 1), id="a")], raising=False
        )
        monkeypatch.setattr(demo.conversation, "questions", list)
        folder = tmp_path / "home"
        with mnemic.open(folder, "mine", encoders="lexical") as memory:
            memory.remember("keep me")
        (folder / "letter.txt").write_text("keep me")
        assert "1 turns remembered, 0 were there" in call("demo", "--store", folder).out
        assert "0 turns remembered, 1 were there" in call("demo", "--store", folder).out
        assert "1 turns remembered, 0 were there" in call("demo", "--store", folder, "--fresh").out
        assert (folder / "letter.txt").read_text() == "keep me"
        assert mnemic.spaces(folder) == ["demo", "mine"]


class TestProcess:
    @pytest.fixture
    def many(self, store: Path) -> Path:
        with mnemic.open(store, encoders="lexical") as memory:
            memory.remember([f"heron number {i} " + "walks " * 50 for i in range(1000)])
        return store

    @pytest.mark.parametrize("arguments", ["export -", "recall heron -k 1000", "recall heron -k 1000 --json"])
    def test_a_reader_that_goes_away_is_no_error(self, many: Path, arguments: str) -> None:
        with subprocess.Popen(
            [*MNEMIC, *arguments.split(), "--store", str(many)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            assert running.stdout.read(10)
            running.stdout.close()
            assert running.stderr.read() == b""
            assert running.wait(60) == 0

    def test_pipes_and_exit_codes(self, store: Path) -> None:
        stored = process("remember", "-", "--encoders", "lexical", "--json", stdin=b"The heron nests.")
        assert stored.returncode == 0
        assert json.loads(stored.stdout)["ids"]
        assert process("recall", "zebra").returncode == 3
        copied = process("restore", "-", "--space", "copy", stdin=process("export", "-").stdout)
        assert copied.stdout == b"1 records restored\n"
