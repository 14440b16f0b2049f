"""What `spyhop check`, promptfoo and alpaca-eval say about the same pull requests, some with a planted loss.

    python3 benches/gate_peers.py ANNOTATIONS_DIRECTORY [--pulls 200] [--cli 5] [--jobs 2]

A pull request is 805 prompts of AlpacaEval, drawn with replacement, and three sets of answers: a fixed
baseline's, the old model's and the new one's. The verdicts are those that real models had there
(`guanaco-65b` and `oasst-rlhf-llama-33b` against `text-davinci-003`), and some are turned around, so
that the new model truly loses 0, 5 or 10 points of what is measured: against the baseline, and against
the old model. One server on this machine is the judge of all tools. It looks every verdict up by the
two answers and their order, and replies in the form that was asked for.

Every tool runs as it is installed from its registry (into target/peers, or --peers). A tool is asked
once about each distinct question, and what it said is put together by pull request; `--cli` pull
requests of each loss are given to promptfoo's command line one by one, and its exit code must be the
one that was put together. alpaca-eval makes a new client for each call, which is slow, so its prompts
are sent by a plain one, and 200 of them by its own as well, which must give the same verdicts.
"""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROJECT = Path(__file__).parent.parent
# How many questions alpaca-eval's own client is asked, too.
CLIENT = 200
LOSSES, PROMPTS, MARGIN, SEED = (0, 5, 10), 805, 5, 2026
ANSWER = re.compile(r"(?:Baseline|Old|New) answer to question \d+(?:, draw \d+)?\.")
ALPACA_EVAL = """
import concurrent.futures, http.client, json, pandas, pathlib, sys, threading, yaml
from alpaca_eval.annotators import PairwiseAnnotator
from alpaca_eval.metrics import get_winrate
folder = pathlib.Path(sys.argv[1])
prompt = folder / "prompt.txt"
prompt.write_text("<|im_start|>user\\n{instruction}\\nA: {output_1}\\nB: {output_2}\\n<|im_end|>\\n")
judge = {
    "prompt_template": str(prompt), "fn_completions": "openai_completions", "batch_size": 1,
    "completions_kwargs": {"model_name": "gpt-4", "max_tokens": 16, "temperature": 0},
    "fn_completion_parser": "regex_parser",
    "completion_parser_kwargs": {
        "outputs_to_match": {1: "Verdict: A", 2: "Verdict: B", 1.5: "Verdict: tie"}},
}
(folder / "configs.yaml").write_text(yaml.safe_dump({"simple": judge}))
work = json.loads((folder / "questions.json").read_text())
rows = pandas.DataFrame(work["questions"], columns=["instruction", "output_1", "output_2"])
verdicts = lambda annotator, rows: {(row["instruction"], row["output_1"], row["output_2"]): row
                                    for row in annotator(rows, chunksize=4096)}

def complete(prompts, **_):
    local = threading.local()
    def ask(prompt):
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(*sys.argv[2:])
        text = prompt.removeprefix("<|im_start|>user").removesuffix("<|im_end|>").strip()
        body = {"model": "gpt-4", "messages": [{"role": "user", "content": text}]}
        local.connection.request("POST", "/v1/chat/completions", json.dumps(body))
        return json.load(local.connection.getresponse())["choices"][0]["message"]["content"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        completions = list(pool.map(ask, prompts))
    return {"completions": completions, "price_per_example": [0] * len(prompts),
            "time_per_example": [0] * len(prompts)}

annotator = lambda: PairwiseAnnotator(
    annotators_config=str(folder / "configs.yaml"), caching_path=None, other_output_keys_to_keep=[])
plain = annotator()
plain.annotators["simple"].fn_completions = complete
found = verdicts(plain, rows)
assert all(row["preference"] is not None for row in found.values())
some = rows.sample(CLIENT, random_state=0)
for key, row in verdicts(annotator(), some).items():
    assert row["preference"] == found[key]["preference"], key
results = []
for question_numbers in work["runs"]:
    annotations = [found[tuple(work["questions"][number])] for number in question_numbers]
    result = get_winrate(annotations)
    results.append([float(result["win_rate"]), float(result["standard_error"]), result["n_total"]])
(folder / "results.json").write_text(json.dumps(results))
"""


def mean(values):
    return sum(values) / len(values)


class World:
    """The pull requests, and the judge's table: the score of the first of two answers, in that order."""

    def __init__(self, directory, pulls):
        def read(name):
            rows = json.loads((Path(directory) / f"{name}.alpaca_eval_gpt4.json").read_text())
            # An old way to write a draw is 0.
            return [row["dataset"] for row in rows], [(row["preference"] or 1.5) - 1 for row in rows]

        self.datasets, self.one = read("guanaco-65b")
        _, self.other = read("oasst-rlhf-llama-33b")
        self.table = {}
        self.pulls = {
            loss: [self.pull(loss, random.Random(f"{SEED} {loss} {number}")) for number in range(pulls)]
            for loss in LOSSES}

    def pull(self, loss, chance):
        """Prompts as (dataset, instruction, baseline's answer, old answer, new answer)."""
        seen, prompts = collections.Counter(), []
        level = mean(self.one)
        # Wins are added to the second model's verdicts, so that they are as good as the first's.
        raised = (level - mean(self.other)) / mean([score == 0 for score in self.other])
        turned = (level - 0.5 + loss / 100) / (2 * level - 1)
        for _ in range(PROMPTS):
            row = chance.randrange(len(self.one))
            seen[row] += 1
            turn, lose = chance.random() < turned, chance.random() < loss / 100 / level
            again = 1 if chance.random() < raised and self.other[row] == 0 else self.other[row]
            against = 0 if lose else again
            baseline, old = f"Baseline answer to question {row}.", f"Old answer to question {row}."
            draw = int(2 * again) + 3 * turn + 6 * lose
            new = f"New answer to question {row}, draw {draw}."
            # Two real verdicts on the prompt are those of the two orders.
            new_second, new_first = (1 - score if turn else score for score in (self.one[row], again))
            self.table |= {
                (old, baseline): self.one[row], (baseline, old): 1 - self.one[row],
                (new, baseline): against, (baseline, new): 1 - against,
                (old, new): 1 - new_second, (new, old): new_first}
            instruction = f"Question {row}, asked as number {seen[row]}"
            prompts.append((self.datasets[row], instruction, baseline, old, new))
        return prompts

    def all(self):
        return [(loss, number, pull) for loss in LOSSES for number, pull in enumerate(self.pulls[loss])]


class Judge:
    """A server that looks verdicts up, and counts the questions."""

    def __init__(self, table):
        judge = self
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, -1

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                question = body["messages"][-1]["content"]
                first, second = dict.fromkeys(ANSWER.findall(question))
                score = table[first, second]
                if "<Rubric>" in question:
                    reply = json.dumps({"pass": score >= 0.5, "score": score, "reason": "As planted."})
                else:
                    reply = "Verdict: " + {0: "B", 0.5: "tie", 1: "A"}[score]
                judge.asked += 1
                text = json.dumps({
                    "id": "1", "object": "chat.completion", "created": 1, "model": "judge",
                    "choices": [{"index": 0, "message": {"role": "assistant", "content": reply},
                                 "finish_reason": "stop", "logprobs": None}],
                    "usage": {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55},
                }).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        class Server(ThreadingHTTPServer):
            request_queue_size, daemon_threads = 256, True

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = "127.0.0.1", str(server.server_port)
        self.url = f"http://127.0.0.1:{server.server_port}/v1"


def install(peers):
    """The peers as their users install them, once; and what they say their versions are."""
    python, promptfoo = peers / "venv/bin/python", peers / "npm/node_modules/.bin/promptfoo"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", peers / "venv"], check=True)
        packages = ["alpaca-eval", "xmlschema", "junitparser"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    if not promptfoo.exists():
        options = ["--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", "install", "--prefix", peers / "npm", *options, "promptfoo"], check=True)
    version = "from importlib.metadata import version; print(version('alpaca-eval'))"
    alpaca_eval = subprocess.run([python, "-c", version], check=True, capture_output=True, text=True)
    package = json.loads((peers / "npm/node_modules/promptfoo/package.json").read_text())
    return python, promptfoo, alpaca_eval.stdout.strip(), package["version"]


def spyhop(program, world, judge, folder, until_decided):
    """A file of checks for each loss, one a pull request; the verdict of each."""
    verdicts = {}
    for loss in LOSSES:
        place = folder / f"spyhop-{loss}"
        place.mkdir(exist_ok=True)
        suite = [f'store = "{folder / "replies.sqlite"}"']
        for number, pull in enumerate(world.pulls[loss]):
            for name, column in (("old", 3), ("new", 4)):
                rows = [{"dataset": prompt[0], "instruction": prompt[1], "output": prompt[column],
                         "generator": name} for prompt in pull]
                (place / f"{name}-{number}.json").write_text(json.dumps(rows))
            suite.append(
                f'[[check]]\nname = "pull-{number}"\nreference = "old-{number}.json"\n'
                f'candidate = "new-{number}.json"\nmargin = {MARGIN}.0\n'
                f"until_decided = {str(until_decided).lower()}\nslices = {str(not until_decided).lower()}\n"
                f'[check.judge]\njudge = "pair-verdict"\nserver = {{ endpoints = ["{judge.url}"] }}')
        name = "until-decided" if until_decided else "fixed"
        (place / f"{name}.toml").write_text("\n".join(suite))
        command = [program, "check", "--config", f"{name}.toml", "--out", f"runs-{name}", "--jobs", "2",
                   "--format", "json", "--junit", f"{name}.xml"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
        rows = {row["check"]: row for row in json.loads(done.stdout)}
        assert len(rows) == len(world.pulls[loss]) and done.returncode in (0, 1, 3), done.stderr[-2000:]
        for number in range(len(world.pulls[loss])):
            verdict = rows[f"pull-{number}"]["verdict"]
            assert verdict in ("better", "no_worse", "regressed", "inconclusive"), verdict
            verdicts[loss, number] = {"regressed": "red", "inconclusive": "open"}.get(verdict, "green")
    return verdicts


def alpaca_eval(python, world, judge, folder):
    """Win rate and standard error of old and new against the baseline, and of new against old."""
    numbers, runs = {}, []
    for _, _, pull in world.all():
        for one, two in ((2, 3), (2, 4), (3, 4)):
            runs.append([numbers.setdefault((prompt[1], prompt[one], prompt[two]), len(numbers))
                         for prompt in pull])
    (folder / "questions.json").write_text(json.dumps({"questions": list(numbers), "runs": runs}))
    (folder / "client.yaml").write_text(f"default:\n  - api_key: none\n    base_url: {judge.url}\n")
    environment = {**os.environ, "OPENAI_CLIENT_CONFIG_PATH": str(folder / "client.yaml"),
                   "OPENAI_API_KEY": "none", "OPENAI_MAX_CONCURRENCY": "16"}
    done = subprocess.run([python, "-c", ALPACA_EVAL.replace("CLIENT", str(CLIENT)), folder, *judge.address],
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads((folder / "results.json").read_text())
    assert all(total == PROMPTS for _, _, total in results)
    return {(loss, number): results[3 * place:3 * place + 3]
            for place, (loss, number, _) in enumerate(world.all())}


class Promptfoo:
    """Recorded answers (the provider `echo`), each graded by `llm-rubric` against another answer."""

    def __init__(self, program, judge, folder):
        self.program, self.judge, self.folder = program, judge, folder

    def run(self, name, questions, threshold=None):
        """The exit code, and which of (question, answer, other answer) passed."""
        rubric = 'Is this answer to "{{question}}" at least as good as the following? {{other}}'
        grader = {"id": "openai:chat:gpt-4o-mini", "config": {"apiBaseUrl": self.judge.url, "apiKey": "none"}}
        tests = [{"vars": {"question": question, "answer": answer, "other": other}}
                 for question, answer, other in questions]
        config, output = self.folder / f"{name}.json", self.folder / f"{name}.results.json"
        config.write_text(json.dumps({
            "prompts": ["{{answer}}"], "providers": ["echo"], "tests": tests,
            "defaultTest": {"assert": [{"type": "llm-rubric", "value": rubric, "provider": grader}]}}))
        environment = {**os.environ, "PROMPTFOO_CONFIG_DIR": str(self.folder / "promptfoo"),
                       "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"}
        if threshold is not None:
            environment["PROMPTFOO_PASS_RATE_THRESHOLD"] = repr(threshold)
        command = [self.program, "eval", "-c", config, "-o", output, "-j", "32", "--no-cache", "--no-write",
                   "--no-table", "--no-progress-bar"]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
                              capture_output=True, text=True)
        assert done.returncode in (0, 100), (done.stdout + done.stderr)[-2000:]
        results = json.loads(output.read_text())["results"]
        assert results["stats"]["errors"] == 0, results["stats"]
        passed = {(row["vars"]["question"], row["vars"]["answer"], row["vars"]["other"]): row["success"]
                  for row in results["results"]}
        assert len(passed) == len(set(questions))
        return done.returncode, passed


def promptfoo_questions(pull, answer, other):
    return [(prompt[1].split(",")[0], prompt[answer], prompt[other]) for prompt in pull]


def promptfoo(program, world, judge, folder, command_lines, jobs):
    """Pass rates of old and new against the baseline, and of new against old, in percent."""
    tool = Promptfoo(program, judge, folder)
    runs = {(loss, number): [promptfoo_questions(pull, *pair) for pair in ((3, 2), (4, 2), (4, 3))]
            for loss, number, pull in world.all()}
    distinct = list(dict.fromkeys(question for three in runs.values() for one in three for question in one))
    _, passed = tool.run("distinct", distinct)
    rates = {key: [100 * sum(passed[question] for question in one) / len(one) for one in three]
             for key, three in runs.items()}

    def alone(key):
        name = f"alone-{key[0]}-{key[1]}"
        code, _ = tool.run(name, runs[key][1], threshold=rates[key][0])
        assert (code == 100) == (rates[key][1] < rates[key][0]), (key, code, rates[key])

    keys = [(loss, number) for loss in LOSSES for number in range(command_lines)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(alone, keys))
    return rates, len(distinct), len(keys)


def junit(python, peers, file):
    """Validates against junit-10.xsd (of the Jenkins xUnit plugin, in pytest's source package)."""
    download = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "pytest"]
    if not list(peers.glob("pytest-*.tar.gz")):
        subprocess.run([*download, "--dest", peers], check=True)
    code = """
import pathlib, sys, tarfile, junitparser, xmlschema
with tarfile.open(next(pathlib.Path(sys.argv[1]).glob("pytest-*.tar.gz"))) as package:
    name = next(name for name in package.getnames() if name.endswith("junit-10.xsd"))
    schema = xmlschema.XMLSchema(package.extractfile(name).read().decode())
errors = [f"{error.path}: {error.reason}" for error in schema.iter_errors(sys.argv[2])]
suites = junitparser.JUnitXml.fromfile(sys.argv[2])
cases = [case for suite in suites for case in suite]
print(f"{name}: {len(errors)} errors {errors[:3]}; junitparser: {len(cases)} cases,",
      f"{sum(case.is_failure for case in cases)} failures, {sum(case.is_error for case in cases)} errors")
"""
    done = subprocess.run([python, "-c", code, peers, file], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip()[-300:]


def wilson(count, total):
    share, z = count / total, 1.959964
    middle = (share + z * z / 2 / total) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / 4 / total**2)
    return f"{100 * share:.1f}% ({max(0, 100 * (middle - half)):.1f}–{min(100, 100 * (middle + half)):.1f})"


def practices(checked, sequential, rates, alpaca):
    """How each tool's users read it, as a colour for each pull request."""
    def colours(found, red):
        return {key: "red" if red(*values) else "green" for key, values in found.items()}

    apart = lambda old, new: new[0] + 1.96 * new[1] < old[0] - 1.96 * old[1]
    return [
        ("promptfoo", "against a baseline: exit 100, threshold the old pass rate",
         colours(rates, lambda old, new, _: new < old)),
        ("promptfoo", "the same, threshold 5 points lower",
         colours(rates, lambda old, new, _: new < old - MARGIN)),
        ("promptfoo", "against the old answers: exit 100, threshold 50",
         colours(rates, lambda _, __, direct: direct < 50)),
        ("alpaca-eval", "against a baseline: win rate below the old one",
         colours(alpaca, lambda old, new, _: new[0] < old[0])),
        ("alpaca-eval", "the same, by more than 5 points",
         colours(alpaca, lambda old, new, _: new[0] < old[0] - MARGIN)),
        ("alpaca-eval", "against a baseline: intervals (±1.96 SE) do not overlap",
         colours(alpaca, lambda old, new, _: apart(old, new))),
        ("alpaca-eval", "against the old answers: win rate below 50",
         colours(alpaca, lambda _, __, direct: direct[0] < 50)),
        ("alpaca-eval", "against the old answers: interval (±1.96 SE) below 50",
         colours(alpaca, lambda _, __, direct: direct[0] + 1.96 * direct[1] < 50)),
        ("spyhop", f"`check`, margin {MARGIN}", checked),
        ("spyhop", f"`check --until-decided`, margin {MARGIN}", sequential),
    ]


def table(rows):
    print("| tool | red if | n each | nothing changed: red (false alarm) | undecided "
          "| loss 5: green (miss) | undecided | loss 10: green (miss) | undecided |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for tool, practice, colours in rows:
        total = len(colours) // len(LOSSES)
        cells = []
        for loss in LOSSES:
            count = collections.Counter(colour for key, colour in colours.items() if key[0] == loss)
            cells += [wilson(count["red" if loss == 0 else "green"], total),
                      f"{100 * count['open'] / total:.1f}%" if tool == "spyhop" else "–"]
        print(f"| {tool} | {practice} | {total} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--pulls", type=int, default=200, help="pull requests of each loss")
    parser.add_argument("--cli", type=int, default=5, help="of these, given to promptfoo one by one")
    parser.add_argument("--jobs", type=int, default=2, help="of promptfoo at a time")
    parser.add_argument("--peers", type=Path, default=PROJECT / "target/peers")
    parser.add_argument("--spyhop", type=Path, help="a program that is built [default: build it]")
    options = parser.parse_args()
    program = options.spyhop or PROJECT / "target/release/spyhop"
    if not options.spyhop:
        subprocess.run(["cargo", "build", "--quiet", "--release"], cwd=PROJECT, check=True)
    options.peers.mkdir(parents=True, exist_ok=True)
    python, promptfoo_program, alpaca_version, promptfoo_version = install(options.peers.resolve())
    world = World(options.annotations, options.pulls)
    judge = Judge(world.table)
    began = time.monotonic()

    def say(text):
        print(f"[{time.monotonic() - began:.0f} s, {judge.asked} questions so far] {text}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        checked = spyhop(program.resolve(), world, judge, folder, until_decided=False)
        say("spyhop check")
        sequential = spyhop(program.resolve(), world, judge, folder, until_decided=True)
        say("spyhop check --until-decided")
        alpaca = alpaca_eval(python, world, judge, folder)
        say("alpaca-eval")
        rates, distinct, alone = promptfoo(
            promptfoo_program, world, judge, folder, min(options.cli, options.pulls), options.jobs)
        say("promptfoo")
        # The two peers must have read the same replies about the baseline in the same way.
        for key, (old, new, _) in rates.items():
            passed = [sum(world.table[prompt[column], prompt[2]] >= 0.5 for prompt in
                          world.pulls[key[0]][key[1]]) for column in (3, 4)]
            assert [round(rate * PROMPTS / 100) for rate in (old, new)] == passed
            assert abs(alpaca[key][0][0] - old) < 1e-9
        reports = [junit(python, options.peers.resolve(), folder / f"spyhop-{loss}/fixed.xml")
                   for loss in LOSSES]
        for loss in LOSSES:
            pairs = [(rates[loss, n], alpaca[loss, n]) for n in range(options.pulls)]
            print(f"loss {loss}: measured in the mean, against the baseline "
                  f"{mean([a[0][0] - a[1][0] for _, a in pairs]):.2f}, against the old answers "
                  f"{mean([50 - a[2][0] for _, a in pairs]):.2f}", file=sys.stderr)
    version = subprocess.run([program.resolve(), "--version"], check=True, capture_output=True, text=True)
    table(practices(checked, sequential, rates, alpaca))
    print(f"\n{version.stdout.strip()}, promptfoo {promptfoo_version}, alpaca-eval {alpaca_version}; "
          f"promptfoo graded {distinct} distinct questions in one run, and {alone} pull requests one by one, "
          "with the same exit codes.")
    for loss, report in zip(LOSSES, reports):
        print(f"JUnit, loss {loss}: {report}")


if __name__ == "__main__":
    main()
