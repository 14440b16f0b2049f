"""Times `spyhop eval` against a server on this machine that answers every call after 200 ms.

    python3 benches/judging.py

805 prompts in both orders are 1,610 calls; with 64 at a time they take 1,610 * 0.2 / 64 = 5.03 s at
least. Then the same from the reply store, and the same again in a store of 50,000 other replies; and
the Python package alpaca-eval, installed from its registry into target/peers, on the same server. It
asks in one order only, so it has half the calls.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
SPYHOP = PROJECT / "target/release/spyhop"
PEERS = PROJECT / "target/peers"
PEER = """
import json, pathlib, sys, yaml
from alpaca_eval.annotators import PairwiseAnnotator
folder = pathlib.Path(sys.argv[1])
prompt = folder / "prompt.txt"
prompt.write_text("<|im_start|>user\\n{instruction}\\nA: {output_1}\\nB: {output_2}\\n<|im_end|>\\n")
judge = {
    "prompt_template": str(prompt), "fn_completions": "openai_completions", "batch_size": 1,
    "completions_kwargs": {"model_name": "gpt-4", "max_tokens": 16, "temperature": 0},
    "fn_completion_parser": "regex_parser",
    "completion_parser_kwargs": {"outputs_to_match": {1: "Verdict: A", 2: "Verdict: B"}},
}
config = folder / "configs.yaml"
config.write_text(yaml.safe_dump({"simple": judge}))
answers = lambda name: json.loads((folder / f"{name}.json").read_text())
annotator = PairwiseAnnotator(annotators_config=str(config), caching_path=None)
rows = annotator.annotate_head2head(outputs_1=answers("two"), outputs_2=answers("one"))
assert all(row["preference"] is not None for row in rows)
"""
PROMPTS, LATENCY, CONCURRENCY = 805, 0.2, 64
REPLY = json.dumps({
    "id": "1", "object": "chat.completion", "created": 1, "model": "judge",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Verdict: A"},
                 "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 500, "completion_tokens": 5, "total_tokens": 505},
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


def peer(folder, url):
    python = PEERS / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([PEERS / "bin/pip", "install", "--quiet", "alpaca-eval"], check=True)
    client = Path(folder) / "client.yaml"
    client.write_text(f"default:\n  - api_key: none\n    base_url: {url}\n")
    environment = {**os.environ, "OPENAI_CLIENT_CONFIG_PATH": str(client),
                   "OPENAI_API_KEY": "none", "OPENAI_MAX_CONCURRENCY": str(CONCURRENCY)}
    began = time.perf_counter()
    process = subprocess.Popen([python, "-c", PEER, folder], env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
        server.most = 0
        seconds, memory = peer(folder, server.url)
        calls = server.calls - before
        print(f"alpaca-eval: {calls} calls, {server.most} at most at a time")
        print(f"wall {seconds:.2f} s, ideal {calls * LATENCY / CONCURRENCY:.2f} s, {memory:.0f} MiB")
        before = server.calls
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
