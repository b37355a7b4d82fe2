"""A hub of data sets on this machine, for tests: the few addresses of Hugging Face's that reading a data set needs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

__all__ = ["MANY", "MILLS", "Hub", "png", "serving_hub", "serving_mills"]

MILLS = "ann/mills"  # six rows, of which the fourth has no text and the sixth a broken picture

_SHA = "0123456789abcdef0123456789abcdef01234567"
_TREE = re.compile(r"/api/datasets/([^/]+/[^/]+)/tree/[^/]+(?:/(.*))?")
_PATHS = re.compile(r"/api/datasets/([^/]+/[^/]+)/paths-info/[^/]+")
_INFO = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/revision/[^/]+)?")
_FILE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)")

MANY = 5000  # rows of ann/many, which does not say how many it has


@dataclass
class Hub:
    """What it holds and what it was asked.

    Attributes:
        address: to give as HF_ENDPOINT.
        files: of each data set, by their paths in it.
        requests: methods and paths, in their order.
        waits: called with each path that is read, before it is answered.
    """

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    waits: Callable[[str], object] = lambda path: None


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """Serves one until the end of the block."""
    hub = Hub()

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_mills(folder: Path) -> Iterator[Hub]:
    """One with a few data sets, asked by this process as well; what is fetched lies in a folder."""
    with serving_hub() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        patch.setattr("datasets.config.HF_ENDPOINT", hub.address)
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "datasets")
        patch.setattr("datasets.config.HF_HUB_OFFLINE", False)
        hub.files |= _data_sets(folder)
        yield hub


def png() -> bytes:
    """A small picture."""
    stream = BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, "PNG")
    return stream.getvalue()


def _data_sets(folder: Path) -> dict[str, dict[str, bytes]]:
    secret = folder / "secret.txt"  # of this machine, and named by a data set
    secret.write_text("A secret.", encoding="utf-8")
    addresses = [{"text": text, "image": where} for text, where in (("A", "/etc/secret.png"), ("B", "http://x/photos"))]
    many = _parquet(pa.table({"text": [f"Mill {number}." for number in range(MANY)]}))
    return {
        MILLS: {
            "README.md": _card(
                "en", {"train": "en/train-*.parquet", "test": "en/test-*.parquet"}, rows={"train": 6, "test": 1}
            ),
            "en/train-00000-of-00001.parquet": _mills(),
            "en/test-00000-of-00001.parquet": _parquet(pa.table({"text": ["A mill for testing."]})),
        },
        "ann/photos": {
            "train/red.png": png(),
            "train/metadata.jsonl": b'{"file_name": "red.png", "text": "A red one."}\n',
        },
        "ann/elsewhere": {
            "README.md": _card("default", {"train": "train.jsonl"}),
            "train.jsonl": "".join(json.dumps(row) + "\n" for row in addresses).encode(),
        },
        "ann/many": {
            "README.md": _card("default", {"train": "train.parquet"}),
            "train.parquet": many,
        },
        "ann/damaged": {
            "README.md": _card("default", {"train": "train.parquet"}),
            "train.parquet": many[: len(many) // 2] + bytes(2000) + many[len(many) // 2 + 2000 :],
        },
        "ann/escaping": {"README.md": _card("default", {"train": str(secret)}), "train.txt": b"x"},
    }


def _card(configuration: str, splits: dict[str, str], rows: dict[str, int] | None = None) -> bytes:
    """What a data set says about itself at the top of its README."""
    files = "".join(f"  - split: {split}\n    path: {path}\n" for split, path in splits.items())
    counts = "".join(
        f"  - name: {split}\n    num_bytes: 1\n    num_examples: {count}\n" for split, count in (rows or {}).items()
    )
    info = f"dataset_info:\n- config_name: {configuration}\n  splits:\n{counts}"
    head = f"configs:\n- config_name: {configuration}\n  data_files:\n{files}{info if rows else ''}"
    return f"---\n{head}---\n# A data set\n".encode()


def _mills() -> bytes:
    pictures = [{"bytes": png(), "path": "0.png"}, *[None] * 4, {"bytes": b"no picture", "path": "5.png"}]
    table = pa.table(
        {
            "id": list(range(6)),
            "text": [f"Mill {number} grinds corn." if number != 3 else "" for number in range(6)],
            "place": ["Kent"] * 6,
            "source": ["a book"] * 6,
            "image": pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        }
    )
    kinds = {"id": "int64", "text": "string", "place": "string", "source": "string"}
    features: dict[str, object] = {name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()}
    said = json.dumps({"info": {"features": {**features, "image": {"_type": "Image"}}}})
    return _parquet(table.replace_schema_metadata({"huggingface": said}))


def _parquet(table: pa.Table) -> bytes:
    stream = BytesIO()
    pq.write_table(table, stream, row_group_size=500)
    return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.served.requests.append(f"{self.command} {path}")
        self.served.waits(path)
        if found := _FILE.fullmatch(path):
            self._file(found[1], found[2])
        elif (found := _TREE.fullmatch(path)) and found[1] in self.served.files:
            self._json(self._tree(found[1], found[2] or ""))
        elif (found := _INFO.fullmatch(path)) and found[1] in self.served.files:
            siblings = [{"rfilename": name} for name in self.served.files[found[1]]]
            self._json({"id": found[1], "sha": _SHA, "siblings": siblings, "private": False, "tags": []})
        else:
            self._missing("RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self.rfile.read(int(self.headers["Content-Length"]))
        self.served.requests.append(f"{self.command} {path}")
        found = _PATHS.fullmatch(path)
        if found is None or found[1] not in self.served.files:
            self._missing("RepoNotFound")
            return
        wanted = json.loads(body)["paths"]
        whole = [one for one in self._tree(found[1], "") if one["path"] in wanted]
        self._json(whole)

    def _tree(self, data_set: str, folder: str) -> list[dict[str, object]]:
        inside = f"{folder}/" if folder else ""
        files = {name: content for name, content in self.served.files[data_set].items() if name.startswith(inside)}
        parents = {name.rpartition("/")[0] for name in files if name.rpartition("/")[0] not in ("", folder)}
        return [{"type": "directory", "path": one, "oid": _SHA, "size": 0} for one in sorted(parents)] + [
            {"type": "file", "path": name, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}
            for name, content in files.items()
        ]

    def _file(self, data_set: str, name: str) -> None:
        content = self.served.files.get(data_set, {}).get(name)
        if content is None:
            self._missing("EntryNotFound" if data_set in self.served.files else "RepoNotFound")
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        first, last = (int(asked[1]), int(asked[2] or len(content) - 1)) if asked else (0, len(content) - 1)
        part = content[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", _SHA)
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}")
        self._end(part)

    def _json(self, value: object) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self._end(json.dumps(value).encode())

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self._end(b"")

    def _end(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""
