"""Holds our training against PyTorch with transformers, TRL and PEFT: speed, memory, results.

    python3 benches/finetuning.py MODEL.gguf FOLDER [--rounds N] [--pairs N] [--max-tokens N]
        [--products bf16] [--part PART]...

MODEL.gguf is the quickstart's; `spyhop run recipes/quickstart.toml` leaves it below
$XDG_CACHE_HOME/spyhop.
FOLDER gets a virtual environment with the peers from PyPI, and the files of each run.
Parts: `tokens` (4 x 256 random tokens, f32 and bf16), `pairs` (the quickstart's ragged pairs, all
weights and an adapter, against TRL's SFTTrainer, both with `--products`), `agree` (20 losses, a
checkpoint in transformers, an adapter in PEFT, each also of the last 8 layers alone), `growth` (by
sequence length and by batch, with `--products`); all where none is named.

Contestants run in turn, each in a process of its own, N times each; memory is the most that a whole
process held (`ru_maxrss`). A speed is the median of the rounds, and a ratio is one of medians. Beside
the speed of the clock stands that of the processor, in seconds that a core worked, which other programs
on the machine hardly change; PyTorch's threads are told to sleep while they wait, not to spin.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release/examples"
PEERS = ["torch", "transformers", "peft", "trl", "accelerate"]
LORA = [16, 32.0]
# What a job has that does not say otherwise.
DEFAULTS = {"learning_rate": 1e-5, "final_learning_rate": 9e-6, "lora": None, "last_layers": None, "prompts": []}
# Operations for a token that is trained: see docs/performance.md. Attention's grow with the length.
WEIGHTS, LAYERS, HIDDEN = 134_515_008, 30, 576


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, help="so many of the pairs")
    parser.add_argument("--max-tokens", type=int, default=1024, help="where a pair is cut")
    parser.add_argument("--products", choices=["f32", "bf16"], default="bf16", help="of the parts `pairs` and `growth`")
    parser.add_argument("--part", action="append", choices=PARTS)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    python = install(folder)
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--example", "finetuning"], cwd=PROJECT, check=True)
    bench = Bench(folder, python, arguments, Path(arguments.model).resolve())
    for part in arguments.part or PARTS:
        PARTS[part](bench)


def install(folder):
    python = folder / "peers/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "peers"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


class Bench:
    def __init__(self, folder, python, arguments, model):
        self.folder, self.python, self.rounds = folder, python, arguments.rounds
        self.base, self.products = folder / "base", arguments.products
        pairs = PROJECT / "recipes/quickstart/seed.jsonl"
        run([TARGET / "finetuning", "prepare", model, pairs, folder])
        examples = json.loads((folder / "pairs.json").read_text())
        cut = arguments.max_tokens
        self.pairs = [(ids[:cut], learned[:cut]) for ids, learned in examples[: arguments.pairs]]

    def ours(self, job, name="ours"):
        """One training by our code: its steps, and its memory in GB."""
        job = DEFAULTS | job
        out = self.folder / name
        memory = run([TARGET / "finetuning", "train", self.base, self.write("job", job), out])
        return json.loads((out / "steps.json").read_text()), memory

    def theirs(self, what, job):
        """The same by a peer."""
        job, out = DEFAULTS | job, self.folder / "theirs.json"
        peers = PROJECT / "benches/finetuning_peers.py"
        memory = run([self.python, peers, what, self.base, self.write("job", job), out])
        return json.loads(out.read_text()), memory

    def write(self, name, value):
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(value))
        return path


def run(command):
    """Runs a process in silence, unless it fails; returns the most memory that it held, in GB."""
    patient = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(
        list(map(str, command)), env=patient, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command}\n{said.decode()}"
    return usage.ru_maxrss * 1024 / 1e9


def compare(title, unit, rounds, contestants):
    """Runs all contestants in turn; each gives two speeds and a memory. The first is ours.

    Returns our speed by the processor.
    """
    found = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            found[name].append(contestant())
    middle = {name: [median(column) for column in zip(*rows)] for name, rows in found.items()}
    print(f"{title}, median of {rounds}:")
    for name, (clock, processor, memory) in middle.items():
        speeds = sorted(row[0] for row in found[name])
        print(f"  {name}: {clock:.4g} {unit} a second [{speeds[0]:.4g}, {speeds[-1]:.4g}], "
              f"{processor:.4g} a processor second, {memory:.2f} GB")
    (_, ours), *others = middle.items()
    for name, theirs in others:
        clock, processor, memory = (a / b for a, b in zip(ours, theirs))
        print(f"  over {name}: by the clock {clock:.2f}, by the processor {processor:.2f}, memory {memory:.2f}")
    sys.stdout.flush()
    return ours[1]


def tokens(bench):
    """4 x 256 tokens a step, every one of them learned."""
    peak = bench.theirs("peak", {})[0]
    examples = [random_example(256) for _ in range(4)]
    for rounded in [False, True]:
        job = {"examples": examples, "epochs": 4, "batch_size": 4, "rounded": rounded}

        def speed(seconds, processor, memory):
            # The first step allocates.
            worked = processor[-1] - processor[1]
            return 1024 / median(seconds[1:]), 1024 * len(seconds[1:]) / worked, memory

        def ours():
            found, memory = bench.ours(job)
            return speed([step["seconds"] for step in found["steps"]], found["processor"], memory)

        def theirs():
            found, memory = bench.theirs("torch", job | {"batches": [[0, 1, 2, 3]] * 4})
            return speed(found["seconds"], found["processor"], memory)

        kind = "bf16" if rounded else "f32"
        contestants = {"spyhop": ours, "PyTorch": theirs}
        found = compare(f"4 x 256 tokens, {kind}", "tokens", bench.rounds, contestants)
        floor = peak[kind] * 1e9 / operations(256)
        print(f"  floor: {floor:.0f} tokens a processor second at PyTorch's {peak[kind]:.0f} GFLOP "
              f"of a product of 2,048 x 2,048; ours over it {found / floor:.2f}", flush=True)


def pairs(bench):
    """The quickstart's pairs once, 8 in a step or what TRL packs into as many tokens."""
    rounded = bench.products == "bf16"
    for lora in [None, LORA]:
        def ours():
            job = {"examples": bench.pairs, "epochs": 1, "batch_size": 8, "rounded": rounded, "lora": lora}
            found, memory = bench.ours(job)
            seconds = sum(step["seconds"] for step in found["steps"])
            worked = found["processor"][-1] - found["processor"][0]
            return len(bench.pairs) / seconds, len(bench.pairs) / worked, memory

        def trl(packing):
            def theirs():
                job = {"examples": bench.pairs, "rounded": rounded, "lora": lora, "packing": packing}
                found, memory = bench.theirs("trl", job)
                return *(len(bench.pairs) / found[name] for name in ["seconds", "processor"]), memory
            return theirs

        what = "an adapter of rank 16" if lora else "all weights"
        ways = {"TRL, packed": trl(True), "TRL, padded, by length": trl(False)}
        title = f"{len(bench.pairs)} ragged pairs, {what}, {bench.products}"
        compare(title, "examples", bench.rounds, {"spyhop": ours} | ways)


def agree(bench):
    """Losses of 20 steps, and what other programs make of the results."""
    job = {"examples": bench.pairs, "epochs": 80 / len(bench.pairs), "batch_size": 4, "rounded": False}
    prompts = PROJECT / "eval_sets/first-look/prompts.jsonl"
    job["prompts"] = [json.loads(line)["instruction"] for line in open(prompts)][::5][:8]
    for name, last_layers in [("full", None), ("last", 8)]:
        job["last_layers"] = last_layers
        ours, _ = bench.ours(job, name)
        theirs, _ = bench.theirs("torch", job | {"batches": ours["batches"]})
        losses = list(zip([step["loss"] for step in ours["steps"]], theirs["losses"]))
        same = sum(abs(a - b) < 5e-4 for a, b in losses)
        what = f"the last {last_layers} layers" if last_layers else "all weights"
        print(f"losses of {len(losses)} steps of {what}: {same} within 0.0005 of PyTorch's; largest "
              f"difference {max(abs(a - b) for a, b in losses):.1e}; from {losses[0][0]:.3f} to "
              f"{losses[-1][0]:.3f}", flush=True)
    # A rate at which an adapter changes what is said.
    job |= {"lora": LORA, "learning_rate": 1e-3, "final_learning_rate": 1e-3}
    bench.ours(job | {"last_layers": None}, "lora")
    bench.ours(job, "lora-last")
    for name in ["full", "last", "lora", "lora-last"]:
        out = bench.folder / name
        is_adapter = name.startswith("lora")
        model, adapter = (bench.base, out / "adapter") if is_adapter else (out / "checkpoint", "")
        replies = json.loads((out / "replies.json").read_text())
        asked = {"model": str(model), "adapter": str(adapter), "replies": replies}
        found, _ = bench.theirs("greedy", asked)
        what = "the adapter in PEFT" if adapter else "the checkpoint in transformers"
        print(f"{what}: the same greedy text on {found['same']} of {len(replies)} prompts; where they "
              f"part, the two best logits differ by {found['gaps']}", flush=True)


def growth(bench):
    """How cost grows with the length of a sequence at 2,048 tokens a step, and with the batch."""
    cells = [(length, 2048 // length) for length in [128, 256, 512, 1024, 2048]]
    for length, batch in cells + [(128, batch) for batch in [1, 4, 64, 128]]:
        examples = [random_example(length) for _ in range(batch)]
        job = {"examples": examples, "epochs": 3, "batch_size": batch, "rounded": bench.products == "bf16"}
        found, memory = bench.ours(job)
        clock = length * batch / median(step["seconds"] for step in found["steps"][1:])
        worked = (found["processor"][-1] - found["processor"][1]) / len(found["steps"][1:])
        print(f"{batch} x {length} tokens: {clock:.0f} a second, {length * batch / worked:.0f} a "
              f"processor second, {memory:.2f} GB", flush=True)


def random_example(length):
    """Every token is learned but the first, which follows nothing."""
    return [random.randrange(49_152) for _ in range(length)], [True] * length


def operations(length):
    return 6 * WEIGHTS + 6 * length * HIDDEN * LAYERS


PARTS = {"tokens": tokens, "pairs": pairs, "agree": agree, "growth": growth}

if __name__ == "__main__":
    main()
