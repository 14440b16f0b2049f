"""Times reading and writing beside llama.cpp, in turn, in its fastest formats for this model.

    python3 benches/decoding.py MODEL.gguf --peers FOLDER [--rounds 5] [--requests 1,32,64] [--spyhop PROGRAM]

Installs llama-cpp-python (0.3.36, built from source: some minutes) into FOLDER, has llama.cpp write the
model's weights as Q4_0, Q8_0 and BF16, and then, round after round, has each program read a prompt of
512 tokens and write 64 tokens for each of 1, 32 and 64 requests that have 128 tokens each. Both have two
threads. Prints medians, and the median of each round's ratio.

llama.cpp's time is that of `llama_decode` alone: no sampling, no detokenizing, no Python in between but
the filling of a batch. spyhop's is that of `spyhop bench`, which is likewise the model alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
THREADS = 2
PREFILL, AFTER, WRITTEN = 512, 128, 64
# Names and ids of llama.cpp's formats (llama_ftype).
FORMATS = {"Q4_0": 2, "Q8_0": 7, "BF16": 32}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", default="1,32,64")
    parser.add_argument("--spyhop", type=Path, default=PROJECT / "target/release/spyhop")
    parser.add_argument("--llama", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.llama:
        return llama(arguments.model, arguments.llama, list(map(int, arguments.requests.split(","))))
    python = installed(arguments.peers)
    files = {"as it is": arguments.model}
    for name, ftype in FORMATS.items():
        files[name] = arguments.peers / f"{arguments.model.stem}.{name}.gguf"
        if not files[name].exists():
            quantize = ("import sys, llama_cpp as l; p = l.llama_model_quantize_default_params();"
                        "p.ftype, p.allow_requantize = int(sys.argv[3]), True;"
                        "sys.exit(l.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), p))")
            subprocess.run([python, "-c", quantize, arguments.model, files[name], str(ftype)],
                           check=True, stderr=subprocess.DEVNULL)
    rounds = []
    for number in range(arguments.rounds):
        taken = {f"spyhop {products}": rates for products, rates in spyhop(arguments).items()}
        for name, path in files.items():
            out = subprocess.run([python, __file__, path, "--peers", arguments.peers, "--llama", name,
                                  "--requests", arguments.requests],
                                 check=True, capture_output=True, text=True).stdout
            taken[f"llama.cpp {name}"] = json.loads(out)
        rounds.append(taken)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    show(rounds)


def installed(folder):
    """A Python that has llama.cpp."""
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if subprocess.run([python, "-c", "import llama_cpp"], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "llama-cpp-python==0.3.36"], check=True)
    return python


def spyhop(arguments):
    """Tokens a second by way of rounding and kind of work."""
    out = subprocess.run(
        [arguments.spyhop, "bench", arguments.model, "--work", "prefill,decode", "--requests",
         arguments.requests, "--repetitions", "2", "--format", "json"],
        check=True, capture_output=True, text=True,
        env=os.environ | {"RAYON_NUM_THREADS": str(THREADS)}).stdout
    rates = {}
    for row in json.loads(out)["speed"]:
        rates.setdefault(row["products"], {})[row["work"]] = row["tokens_per_second"]
    return rates


def llama(path, name, numbers):
    """The same work by llama.cpp, as JSON."""
    import llama_cpp as l

    silent = l.llama_log_callback(lambda *_: None)  # kept: llama.cpp calls it until the end
    l.llama_log_set(silent, None)
    l.llama_backend_init()
    model = l.llama_model_load_from_file(str(path).encode(), l.llama_model_default_params())
    rates = {}
    for kind, requests, prompt, written in (
            [(f"prefill {PREFILL}", 1, PREFILL, 0)] + [(f"decode {n}", n, AFTER, WRITTEN) for n in numbers]):
        parameters = l.llama_context_default_params()
        parameters.n_ctx = requests * (prompt + written + 8)
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_seq_max = requests
        parameters.kv_unified = True
        parameters.n_threads = parameters.n_threads_batch = THREADS
        context = l.llama_init_from_model(model, parameters)
        batch = l.llama_batch_init(512, 0, 1)

        def decode(tokens):
            for at, (token, position, sequence, wanted) in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                batch.logits[at] = wanted
            batch.n_tokens = len(tokens)
            began = time.perf_counter()
            if l.llama_decode(context, batch):
                sys.exit(f"llama_decode failed: {name}, {kind}")
            l.llama_synchronize(context)
            return time.perf_counter() - began

        token = lambda sequence, position: 64 + (sequence * 7919 + position * 104729) % 40000
        seconds = []
        for _ in range(2):
            l.llama_memory_clear(l.llama_get_memory(context), True)
            taken = 0.0
            for sequence in range(requests):
                taken += decode([(token(sequence, at), at, sequence, at == prompt - 1) for at in range(prompt)])
            if written:
                taken = sum(
                    decode([(token(sequence, at), at, sequence, True) for sequence in range(requests)])
                    for at in range(prompt, prompt + written))
            seconds.append(taken)
        # The first repetition touches memory for the first time.
        rates[kind] = (requests * written or prompt) / seconds[-1]
        l.llama_batch_free(batch)
        l.llama_free(context)
    print(json.dumps(rates))


def show(rounds):
    kinds, programs = list(rounds[0]["llama.cpp as it is"]), list(rounds[0])
    median = lambda program, kind: statistics.median(taken[program][kind] for taken in rounds)
    print("| tokens/s, median of " + str(len(rounds)) + " | " + " | ".join(kinds) + " |")
    print("|---|" + "---:|" * len(kinds))
    for program in programs:
        print(f"| {program} | " + " | ".join(f"{median(program, kind):,.0f}" for kind in kinds) + " |")
    ours = [program for program in programs if program.startswith("spyhop")]
    theirs = [program for program in programs if program not in ours]
    cells = []
    for kind in kinds:
        best, other = (max(group, key=lambda program: median(program, kind)) for group in (ours, theirs))
        ratios = [taken[best][kind] / taken[other][kind] for taken in rounds]
        cells.append(f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f}; "
                     f"{best.split()[-1]} over {other.removeprefix('llama.cpp ')})")
    print("| **best of ours over its best**, median of ratios (range) | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
