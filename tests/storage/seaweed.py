"""A real S3 server of one process (SeaweedFS), on this machine and in a folder, that can be killed at any moment and started again."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from obstore.store import S3Store

from arraystore.storage.objects import ObjectStorage

WEED = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
BUCKET = "bucket"
KEYS = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
STARTS_IN_SECONDS = 100


class Seaweed:
    """Runs until it is killed; what it acknowledged lies in its folder, and it listens at the same ports each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [f"{name}.{kind}" for name in ("master", "volume", "filer", "s3") for kind in ("port", "port.grpc")]
        self._ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """What `s3://bucket/…` needs to be opened."""
        settings = {"endpoint_url": self.endpoint, "allow_http": "true", **KEYS}
        return {f"AWS_{name.upper()}": value for name, value in settings.items()}

    def storage(self, prefix: str, **options: Any) -> ObjectStorage:
        store = S3Store(BUCKET, prefix=prefix, endpoint=self.endpoint, client_options={"allow_http": True}, **KEYS, **options)
        return ObjectStorage(store, f"s3://{BUCKET}/{prefix}")

    def start(self) -> None:
        """It answers when this returns."""
        told = {
            "dir": self._folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",  # tells nobody of itself
            "master.volumeSizeLimitMB": 64,
            "volume.max": 40,
            "filer.localSocket": self._folder / "socket",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            **self._ports,
        }
        assert WEED is not None
        command = [WEED, "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in told.items())]
        with (self._folder / "log").open("ab") as log:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}  # or it asks for them
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, env=environment)
        self._ask("/healthz", "GET")
        self._ask(f"/{BUCKET}", "PUT")
        for method in ("PUT", "GET"):  # the part that keeps bytes comes up last
            self._ask(f"/{BUCKET}/ready", method)

    def kill(self) -> None:
        """At once, whatever it is doing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _ask(self, path: str, method: str) -> None:
        assert self._process is not None
        body = b"x" if method == "PUT" else None
        request = urllib.request.Request(self.endpoint + path, body, method=method)
        until = time.monotonic() + STARTS_IN_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10):
                    return
            except OSError as error:  # not yet; or the bucket is there already
                if getattr(error, "code", None) == 409:
                    return
                if time.monotonic() > until or self._process.poll() is not None:
                    told = (self._folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"it doesn't start: {told}") from error
                time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
