"""How long the audit of a large code base may take: the one bound that was promised in seconds."""

from __future__ import annotations

import itertools
import sysconfig
import time
from pathlib import Path

from runstate.audit import audit

from .snippets import SNIPPETS

FILES = 5_000
SECONDS = 30.0


def test_five_thousand_files_in_thirty_seconds(tmp_path: Path) -> None:
    """5,000 files as people write them, one in ten of which uses a tracker, are audited in less than 30 s."""
    home = Path(sysconfig.get_paths()["purelib"])
    real = [
        path.read_bytes()
        for marker in sorted(home.glob("*/py.typed"))
        for path in sorted(marker.parent.rglob("*.py"))
        if 1_000 < path.stat().st_size < 15_000
    ]
    assert len(real) > 200
    uses = [text.encode() for text in SNIPPETS.values()]
    for number, text in zip(range(FILES), itertools.cycle(real), strict=False):
        folder = tmp_path / f"package{number // 50}"
        folder.mkdir(exist_ok=True)
        use = uses[number // 10 % len(uses)]
        (folder / f"module{number}.py").write_bytes(use if number % 10 == 0 else text)
    begun = time.perf_counter()
    report = audit([tmp_path])
    took = time.perf_counter() - begun
    assert report.files == FILES
    assert len(report.findings) > 500
    assert took < SECONDS
