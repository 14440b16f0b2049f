#!/usr/bin/env python3
"""How long the report of a large run takes to build, how large its page is, and how soon that works.

Fabricates the directory of a run with 20 models, each judged against the base model on 805 prompts in
both orders: 32,200 judgments, and answers as long as those on AlpacaEval's leaderboard (words drawn at
random, so they pack worse than real ones). Then runs `spyhop report`, and opens the page in Debian's
Chromium through tests/browser (see CONTRIBUTING.md).

    cargo build --release && python3 benches/report.py
"""

import argparse
import json
import pathlib
import random
import resource
import shutil
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
RECIPE = """
name = "large"
random_seed = 1
iterations = {iterations}
[model]
weights = {{ from = ["file:model.gguf"] }}
[seed]
source = {{ from = ["file:seed.jsonl"] }}
format = "jsonl"
[corpus]
source = {{ from = ["file:corpus"] }}
limit = 60
[finetune]
epochs = 1
batch_size = 8
[evaluate]
eval_set = "first-look"
baselines = ["base"]
[judge]
method = "choice"
"""
DATASETS = ["helpful_base", "koala", "oasst", "selfinstruct", "vicuna"]
# Most common first, as in any language; the tail is made of numbered words.
WORDS = (
    "the of and to in is that it for as with be on by this are or from at which an not have you can "
    "will one all there when use their more other into your some if may than them out these about its "
    "time like other way people make first also each after most many between because both through "
    "before should where while such different need example important however number work help think"
).split() + [f"{stem}{end}" for stem in "ba co di en fo ga hi in ju ka lo mi no pe qua re si tra un vo we".split()
             for end in "nding cture lity ment sion rable tory ness ter gram pose sure ward ble tic".split()]
WEIGHTS = [1 / (rank + 3) for rank in range(len(WORDS))]


def text(draw: random.Random, characters: float) -> str:
    wanted = max(3, int(characters / 5.2))
    words = draw.choices(WORDS, WEIGHTS, k=wanted)
    for place in range(11, wanted, 14):
        words[place] += "." if place % 4 else ".\n\n"
    return " ".join(words)


def fabricate(run: pathlib.Path, models: int, prompts: int, judged_by_words: bool) -> int:
    """Writes the run, and returns the number of its judgments."""
    draw = random.Random(1)
    write = lambda path, rows: path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "recipe.toml").write_text(RECIPE.format(iterations=models - 1))
    asked = [
        {"id": f"p{number:04}", "instruction": text(draw, draw.lognormvariate(4.6, 0.8)),
         "dataset": DATASETS[number % len(DATASETS)]}
        for number in range(prompts)
    ]
    write(run / "prompts.jsonl", asked)
    done, judgments = [], 0
    stage = lambda name, rows: done.append(
        {"id": name, "inputs": "0" * 16, "seconds": 60.0, "resumed": False,
         "counts": {"rows_in": rows, "kept": rows, "dropped": {}, "failed": 0}})
    for number in range(-1, models):
        name = "base" if number < 0 else f"M{number}"
        (run / name).mkdir()
        # The baseline's answers are as short as text-davinci-003's; the longest models write 2,000.
        mean = 400 if number < 0 else 800 + 1200 * number / models
        write(run / name / "completions.jsonl", [
            {"id": row["id"], "instruction": row["instruction"], "dataset": row["dataset"],
             "output": text(draw, draw.gammavariate(2.0, mean / 2)), "generator": name, "finish": "stop"}
            for row in asked])
        stage(f"{name}/generate", prompts)
        if number < 0:
            continue
        rows = []
        for row in asked:
            for order in ["candidate_first", "baseline_first"]:
                preference = draw.random()
                reply = text(draw, 300) if judged_by_words else f"A {preference:.4f} B {1 - preference:.4f}"
                rows.append({
                    "id": f"{name}{row['id']}{order}", "prompt_id": row["id"], "dataset": row["dataset"],
                    "candidate": name, "baseline": "base", "order": order,
                    "verdict": "win" if preference > 0.5 else "loss", "preference": preference,
                    "reply": reply})
        judgments += len(rows)
        write(run / name / "judgments-base.jsonl", rows)
        stage(f"{name}/judge-base", len(rows))
    write(run / "stages.jsonl", done)
    return judgments


OPEN = """
const { chromium } = require('playwright-core');
(async () => {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const timed = async (what) => { const began = Date.now(); await what(); return Date.now() - began; };
  const ready = await timed(async () => {
    await page.goto(process.argv[1]);
    await page.waitForSelector('#browser[data-ready]', { timeout: 60000 });
  });
  const rows = await page.locator('#list [role=option]').count();
  const next = await timed(() => page.evaluate(async () => {
    const list = document.getElementById('list');
    list.focus();
    for (let i = 0; i < 20; i++) list.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
    await new Promise(requestAnimationFrame);
  })) / 20;
  const filter = await timed(async () => {
    const before = await page.textContent('#found');
    await page.selectOption('select[name=outcome]', 'win');
    await page.waitForFunction((text) => document.getElementById('found').textContent !== text, before);
  });
  const search = await timed(async () => {
    const before = await page.textContent('#found');
    await page.fill('input[name=search]', 'important however');
    await page.waitForFunction((text) => document.getElementById('found').textContent !== text, before);
  });
  const scroll = await timed(() => page.evaluate(async () => {
    const list = document.getElementById('list');
    for (let i = 1; i <= 20; i++) { list.scrollTop = list.scrollHeight * i / 20; await new Promise(requestAnimationFrame); }
  })) / 20;
  console.log(JSON.stringify({ ready, next, filter, search, scroll, rows }));
  await browser.close();
})();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=805)
    parser.add_argument("--words", action="store_true", help="a judge that explains each verdict in 300 characters")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the run in this directory")
    parser.add_argument("--spyhop", default=str(HERE / "target/release/spyhop"))
    given = parser.parse_args()
    run = given.keep or pathlib.Path(tempfile.mkdtemp())
    if run.exists():
        shutil.rmtree(run)
    run.mkdir(parents=True)
    judgments = fabricate(run, given.models, given.prompts, given.words)
    began = time.monotonic()
    subprocess.run([given.spyhop, "report", str(run)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory, processor = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    page = run / "report/index.html"
    answers = sum(path.stat().st_size for path in run.glob("*/completions.jsonl"))
    print(f"{judgments:,} judgments, {answers / 1e6:.1f} MB of answers")
    print(f"spyhop report: {seconds:.2f} s, {processor:.2f} s of processor time, {memory:.0f} MB at its peak")
    print(f"index.html: {page.stat().st_size / 1e6:.1f} MB")
    modules = HERE / "tests/browser"
    if (modules / "node_modules").is_dir() and shutil.which("node"):
        out = subprocess.run(["node", "-e", OPEN, page.as_uri()], cwd=modules, check=True, capture_output=True, text=True)
        found = json.loads(out.stdout)
        print("page, in milliseconds: works {ready}, next {next:.1f}, filter {filter}, search {search}, "
              "scroll {scroll:.1f} a step; at most {rows} rows exist".format(**found))
    if not given.keep:
        shutil.rmtree(run)


if __name__ == "__main__":
    main()
