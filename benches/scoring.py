"""Times `spyhop score` beside the Python package alpaca-eval, whole processes in turn, and our own long work.

    python3 benches/scoring.py [ANNOTATIONS.json]

Installs alpaca-eval from its registry into target/peers, once. Without a file it scores 805 made-up
rows of AlpacaEval's size. Both must give the same win rate, standard error and counts, or it fails.
The length control of alpaca-eval needs files from a hub and cannot run here, so ours is timed alone.
The table is the one in docs/performance.md.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
SPYHOP = PROJECT / "target/release/spyhop"
PEERS = PROJECT / "target/peers"
ROUNDS = 11
PEER = """
import json, sys, pandas
from alpaca_eval.metrics import get_winrate
found = get_winrate(pandas.read_json(sys.argv[1]))
print(json.dumps({name: float(value) for name, value in found.items()}))
"""


def made_up(seed, model, folder):
    """805 rows of about the size of AlpacaEval's."""
    same, chance = random.Random("prompts"), random.Random(seed)
    words = [same.choice("abcdefgh") * same.randint(1, 9) for _ in range(999)]

    def text(chance, count):
        return " ".join(chance.choices(words, k=count))

    rows = [
        {
            "instruction": f"{number} {text(same, 30)}", "output_1": text(same, 60),
            "generator_1": "base", "dataset": same.choice(["one", "two"]),
            "output_2": text(chance, chance.randint(40, 300)),
            "generator_2": model, "annotator": "judge", "preference": chance.choice([1, 2, 2, 0]),
        }
        for number in range(805)
    ]
    path = Path(folder) / f"{model}.json"
    path.write_text(json.dumps(rows, indent=2))
    return path


def timed(command, **environment):
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return time.perf_counter() - began, done.stdout


def median(command, rounds=ROUNDS, **environment):
    return statistics.median(timed(command, **environment)[0] for _ in range(rounds))


def main():
    subprocess.run(["cargo", "build", "--quiet", "--release"], cwd=PROJECT, check=True)
    python = PEERS / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([PEERS / "bin/pip", "install", "--quiet", "alpaca-eval"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = sys.argv[1] if len(sys.argv) > 1 else made_up(0, "model", folder)
        ours = [SPYHOP, "score", path, "--format", "json", "--lc-folds", "0"]
        theirs = [python, "-c", PEER, path]
        found, expected = json.loads(timed(ours)[1])[0], json.loads(timed(theirs)[1])
        for name in ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "n_total"):
            assert abs(found[name] - expected[name]) < 1e-8, (name, found[name], expected[name])
        print(f"same win rate, error and counts: {found['win_rate']:.4f} ({found['n_total']} rows)")

        pairs = [(timed(ours)[0], timed(theirs)[0]) for _ in range(ROUNDS)]
        ours_median, theirs_median = (statistics.median(column) for column in zip(*pairs))
        ratio = statistics.median(theirs / ours for ours, theirs in pairs)
        print(f"score, win rate and error:       {1e3 * ours_median:8.1f} ms")
        print(f"alpaca-eval, the same:           {1e3 * theirs_median:8.1f} ms")
        print(f"ratio, median of {ROUNDS} pairs:       {ratio:8.1f}")

        full = [SPYHOP, "score", path]
        print(f"score with length control:       {1e3 * median(full):8.1f} ms (1,000 folds)")
        single = median(full, RAYON_NUM_THREADS="1")
        print(f"the same on one core:            {1e3 * single:8.1f} ms")

        files = [made_up(seed, f"model-{seed:02}", folder) for seed in range(21)]
        compare = [SPYHOP, "compare", *files, "--format", "csv"]
        seconds = median(compare, 5, RAYON_NUM_THREADS="1")
        print(f"compare 20 models with another:  {1e3 * seconds:8.1f} ms (9,999 folds, one core)")
        rank = median([SPYHOP, "rank", *files], 5, RAYON_NUM_THREADS="1")
        print(f"rank 22 models:                  {1e3 * rank:8.1f} ms (1,000 folds, one core)")


if __name__ == "__main__":
    main()
