"""Times `spyhop eval` against a server on this machine that answers every call after 200 ms.

    python3 benches/judging.py

805 prompts in both orders are 1,610 calls; with 64 at a time they take 1,610 * 0.2 / 64 = 5.03 s at
least. Then the same from the reply store, and the same again in a store of 50,000 other replies.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
SPYHOP = PROJECT / "target/release/spyhop"
PROMPTS, LATENCY, CONCURRENCY = 805, 0.2, 64
REPLY = json.dumps({
    "choices": [{"message": {"role": "assistant", "content": "Verdict: A"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 500, "completion_tokens": 5}, "model": "judge",
}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(REPLY)


class Server:
    """Counts calls, and the most at a time."""

    def __init__(self):
        self.calls = self.now = self.most = 0
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    async def serve(self, ready):
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ready.set()
        await server.serve_forever()

    async def connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = head.decode().lower().split("\r\n")
                length = next(int(f.split(":")[1]) for f in fields if f.startswith("content-length"))
                await reader.readexactly(length)
                self.calls += 1
                self.now += 1
                self.most = max(self.most, self.now)
                await asyncio.sleep(LATENCY)
                self.now -= 1
                writer.write(HEAD + REPLY)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def answers(folder, model):
    rows = [{"instruction": f"Question {n}", "output": f"{model} {n} " * 80, "generator": model}
            for n in range(PROMPTS)]
    path = Path(folder) / f"{model}.json"
    path.write_text(json.dumps(rows))
    return path


def run(folder, url, out):
    command = [SPYHOP, "eval", "--candidate", Path(folder) / "one.json", "--baseline",
               Path(folder) / "two.json", "--judge", "pair-verdict", "--endpoint", url,
               "--concurrency", str(CONCURRENCY), "--store", Path(folder) / "replies.sqlite",
               "--out", Path(folder) / out]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main():
    subprocess.run(["cargo", "build", "--quiet", "--release"], cwd=PROJECT, check=True)
    server = Server()
    with tempfile.TemporaryDirectory() as folder:
        answers(folder, "one"), answers(folder, "two")
        ideal = 2 * PROMPTS * LATENCY / CONCURRENCY
        seconds, memory = run(folder, server.url, "first")
        print(f"{server.calls} calls, {server.most} at most at a time")
        print(f"wall {seconds:.2f} s, ideal {ideal:.2f} s, ratio {seconds / ideal:.3f}, {memory:.0f} MiB")
        before = server.calls
        seconds, memory = run(folder, server.url, "second")
        assert server.calls == before
        print(f"all from the store: {seconds:.2f} s, {memory:.0f} MiB")
        store = sqlite3.connect(Path(folder) / "replies.sqlite")
        columns = [row[1] for row in store.execute("pragma table_info(replies)")]
        row = dict(zip(columns, store.execute("select * from replies limit 1").fetchone()))
        store.executemany(
            f"insert into replies ({', '.join(columns)}) values ({', '.join('?' * len(columns))})",
            (tuple(os.urandom(32) if name == "key" else row[name] for name in columns)
             for _ in range(50_000)))
        store.commit()
        store.close()
        seconds, memory = run(folder, server.url, "third")
        assert server.calls == before
        print(f"from a store of {50_000 + 2 * PROMPTS} replies: {seconds:.2f} s, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
