"""Twelve bad inputs among twelve good ones: the good get their embeddings, the bad their own outcomes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.shared_service.conftest import MAX_PHOTO_BYTES, MAX_PHOTO_PIXELS
from tests.e2e.stub_networks import DIMENSION
from tests.e2e.stub_photos import write_photos

pytestmark = pytest.mark.serve


def bad_inputs(allowed: Path, outside: Path) -> dict[str, str]:
    """Path -> outcome code."""
    good = write_photos(outside, 1)[0]
    content = good.read_bytes()
    (allowed / "empty.jpg").touch()
    (allowed / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (allowed / "text.jpg").write_text("not a photo")
    (allowed / "raw.CR2").write_bytes(b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(64))
    (allowed / "long.jpg").write_bytes(content + bytes(MAX_PHOTO_BYTES))
    Image.fromarray(np.zeros((MAX_PHOTO_PIXELS // 1000 + 1, 1000), dtype=np.uint8)).save(allowed / "wide.png")
    Image.fromarray(np.full((40, 60, 3), 9, dtype=np.uint8)).save(allowed / "no-animal.png")
    os.mkfifo(allowed / "pipe.jpg")
    (allowed / "folder.jpg").mkdir()
    (allowed / "leads-out.jpg").symlink_to(good)
    return {
        str(allowed / "missing.jpg"): "not_found",
        str(allowed / "empty.jpg"): "unreadable",
        str(allowed / "truncated.jpg"): "unreadable",
        str(allowed / "text.jpg"): "unsupported",
        str(allowed / "raw.CR2"): "unsupported",
        str(allowed / "long.jpg"): "too_large",
        str(allowed / "wide.png"): "too_large",
        str(allowed / "no-animal.png"): "no_animal",
        str(allowed / "pipe.jpg"): "unsupported",
        str(allowed / "folder.jpg"): "unsupported",
        str(allowed / "leads-out.jpg"): "outside_roots",
        str(good): "outside_roots",
    }


def test_bad_photos_do_not_touch_the_good_ones(service, tmp_path, outside):
    good = [str(path) for path in write_photos(tmp_path, 12)]
    bad = bad_inputs(tmp_path, outside)
    assert len(bad) == 12
    paths = [path for pair in zip(good, bad, strict=True) for path in pair]
    with service.connect() as websocket:
        websocket.send(json.dumps({"type": "extract", "id": "mixed", "fileNames": paths}))
        while "data" not in (message := json.loads(websocket.recv(timeout=60))):
            pass
    entries = message["data"]
    assert [entry["path"] for entry in entries] == paths
    for entry in entries:
        if entry["path"] in bad:
            assert entry["error"]["code"] == bad[entry["path"]], entry
            assert Path(entry["path"]).name in entry["error"]["message"]
            assert "embedding" not in entry
        else:
            assert len(entry["embedding"]) == DIMENSION
            assert "error" not in entry
