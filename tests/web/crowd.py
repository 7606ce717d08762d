"""A crowd of clients on one server, one of which reads nothing: everybody else gets everything.

`make chaos ARGS="--only crowd"` has 2,000 of them. The server is a process of its own, half of the clients read event streams and half
WebSockets, each follows one conversation, and the silent one follows all of them, with results that fill whatever is kept for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import runstate
from runstate import ExecutionTracker

from .lives import expected, live, stored

THREADS = 50
PATIENCE = 240.0
AT_ONCE = 50
"""Clients that connect at once."""
BULK = "x" * 500_000
SILENT = "silent"
"""The conversation that nobody but the silent client follows, with large results."""


@dataclass
class Crowd:
    """What came of it."""

    lines: list[str] = field(default_factory=list)
    """What was measured, for people."""
    wrong: list[str] = field(default_factory=list)
    """What must not have been."""


def crowd(place: str, clients: int, rounds: int, pause: float = 0.2) -> Crowd:
    """Have clients follow conversations while executions run, and compare what each got with the journal.

    Args:
        place: The URL of an empty journal.
        clients: How many, besides the silent one.
        rounds: Executions in each conversation.
        pause: Seconds between those whose delay is measured.
    """
    with runstate.open(place) as tracker:
        command = [sys.executable, "-m", "runstate", "serve", place, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stderr is not None
            try:
                port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
                with _silent(port):
                    found = asyncio.run(_run(tracker, server.pid, port, clients, rounds, pause))
                    server.terminate()
                    said = server.stderr.read()
            finally:
                server.kill()
            if "given up (slow)" not in said:
                found.wrong.append(f"the silent client was not given up as slow; the server said {said[-500:]!r}")
            if "Traceback" in said:
                found.wrong.append(f"the server failed: {said[-2_000:]}")
    return found


async def _run(tracker: ExecutionTracker, server: int, port: int, clients: int, rounds: int, pause: float) -> Crowd:
    found = Crowd()
    before = _memory(server)
    gate = asyncio.Semaphore(AT_ONCE)
    followers = [Follower(port, f"t-{number % THREADS}", "ws" if number % 2 else "sse") for number in range(clients)]
    began = time.monotonic()
    await asyncio.gather(*(one.connect(gate) for one in followers))
    connected, with_clients = time.monotonic() - began, _memory(server)
    began, busy = time.monotonic(), _seconds_busy(server)
    await asyncio.gather(asyncio.to_thread(_work, tracker, rounds), _all_read(followers, 6 * rounds, found))
    read, busy, messages = (
        time.monotonic() - began,
        _seconds_busy(server) - busy,
        sum(len(one.got) for one in followers),
    )
    for one in followers:
        one.delays.clear()
    await asyncio.gather(asyncio.to_thread(_trickle, tracker, pause), _all_read(followers, 6 * rounds + 6, found))
    after = _memory(server)
    wanted = {f"t-{n}": expected(stored(tracker, thread_id=f"t-{n}"), "client") for n in range(THREADS)}
    for number, one in enumerate(followers):
        if one.got != wanted[one.thread]:
            missing = len(wanted[one.thread]) - len(one.got)
            found.wrong.append(
                f"client {number} ({one.transport}) of {one.thread} lacks {missing}, or got others: {one.got[-2:]}"
            )
        one.close()
    delays = sorted(delay for one in followers for delay in one.delays)
    found.lines += [
        f"{clients:,} clients connected in {connected:.1f} s",
        f"{THREADS * rounds:,} executions at once: {messages:,} messages read after {read:.1f} s, {busy / messages * 1e6:.0f} µs of "
        "the server's processor each",
        f"{THREADS:,} executions, one after the other: from the entry to the client p50 {_quantile(delays, 0.5):.0f} ms, "
        f"p99 {_quantile(delays, 0.99):.0f} ms, most {_quantile(delays, 1.0):.0f} ms",
        f"the server's memory: {before:.0f} MB alone, {with_clients:.0f} MB with its clients, {after:.0f} MB at the end",
    ]
    if after > before + 150 + 0.15 * clients:
        found.wrong.append(f"the server has grown from {before:.0f} to {after:.0f} MB")
    return found


async def _all_read(followers: list[Follower], number: int, found: Crowd) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(one.read(number) for one in followers))
    except TimeoutError:
        found.wrong.append("some clients had to be waited for too long")


def _trickle(tracker: ExecutionTracker, seconds: float) -> None:
    """One execution in each conversation, so far apart that a server has time for the clients of each."""
    pause = threading.Event()
    for number in range(THREADS):
        live(tracker, f"t-{number}")
        pause.wait(seconds)


def _seconds_busy(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _work(tracker: ExecutionTracker, rounds: int) -> None:
    for _ in range(rounds):
        for number in range(THREADS):
            live(tracker, f"t-{number}")
        for _ in range(60 // rounds):
            run = tracker.create(agent="air", thread_id=SILENT, user_id="ann").run()
            run.complete(BULK)
        tracker.flush()


def _silent(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.recv(12) == b"HTTP/1.1 200"  # it follows, and reads no more
    return client


class Follower:
    """A client that follows one conversation, with as little as it takes."""

    def __init__(self, port: int, thread: str, transport: str) -> None:
        self._port = port
        self.thread = thread
        self.transport = transport
        self.got: list[tuple[str, str]] = []
        self.delays: list[float] = []
        """Milliseconds from each entry to here."""

    async def connect(self, gate: asyncio.Semaphore) -> None:
        """Connect, and read the head of the answer."""
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        path = f"/threads/{self.thread}/events" if self.transport == "sse" else f"/ws/threads/{self.thread}"
        more = upgrade if self.transport == "ws" else ""
        async with gate:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
            head = await self._reader.readuntil(b"\r\n\r\n")
            assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")), head

    async def read(self, number: int) -> None:
        """Read so many messages."""
        while len(self.got) < number:
            data = await (self._event() if self.transport == "sse" else self._frame())
            if data is not None:
                self.got.append((data["event"], data.get("id", "")))
                if "at_ns" in data:
                    self.delays.append((time.time_ns() - data["at_ns"]) / 1e6)

    def close(self) -> None:
        """Go."""
        self._writer.close()

    async def _event(self) -> Any:
        line = await self._reader.readuntil(b"\n")
        return json.loads(line[6:]) if line.startswith(b"data: ") else None

    async def _frame(self) -> Any:
        first, length = struct.unpack("!BB", await self._reader.readexactly(2))
        if length == 126:
            (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
        payload = await self._reader.readexactly(length)
        if first & 15 == 9:  # a ping
            self._writer.write(struct.pack("!BBI", 0x8A, 0x80 | length, 0) + payload)
            return None
        return json.loads(payload) if first & 15 == 1 else None


def _memory(process: int) -> float:
    """Megabytes that a process holds."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1_024


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0
