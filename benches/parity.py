"""Holds our model code against llama.cpp and transformers: token ids, greedy text, probabilities.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install llama-cpp-python torch transformers
    /tmp/peers/bin/python benches/parity.py MODEL.gguf [TEXTS.json]

MODEL.gguf is the quickstart's; `spyhop run recipes/quickstart.toml` leaves it below
$XDG_CACHE_HOME/spyhop. TEXTS.json, a list of strings, adds texts to be tokenized.
The last lines say what agreed; the figures in docs/performance.md are from here.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import llama_cpp
import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROJECT = Path(__file__).parent.parent
EDGES = [
    "", "Hello world", "  leading", "trailing  ", "1234567 3.14", "<|im_start|>user\nhi<|im_end|>",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u0645\u0631\u062d\u0628\u0627", "\U0001f600\U0001f469\u200d\U0001f467",
    "tab\there\nnew\n\n\nlines", "a\x00b\x07c", "don't can't I'm we'll", "for(i=0;i<10;i++){}",
    "\u00e9 e\u0301", "1,000,000.00 $5 50%", "CamelCase snake_case", "   ", "\n", "\r\nwin", "a" * 200,
]


def jsonl(name):
    return [json.loads(line) for line in open(PROJECT / name)]


def main():
    gguf = sys.argv[1]
    texts = list(EDGES)
    for pair in jsonl("recipes/quickstart/seed.jsonl"):
        texts += [pair["instruction"], pair["output"]]
    if len(sys.argv) > 2:
        texts += json.load(open(sys.argv[2]))
    prompts = [row["instruction"] for row in jsonl("eval_sets/first-look/prompts.jsonl")][::5][:10]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "texts.json").write_text(json.dumps(texts))
        (folder / "prompts.json").write_text(json.dumps(prompts))
        subprocess.run(
            ["cargo", "run", "--quiet", "--release", "--example", "parity", "--", gguf,
             folder / "texts.json", folder / "prompts.json", folder],
            cwd=PROJECT, check=True)
        ours = json.loads((folder / "greedy.json").read_text())
        tokens = json.loads((folder / "tokens.json").read_text())
        against_llama_cpp(gguf, folder, texts, tokens, ours)
        against_transformers(folder, prompts, ours, json.loads((folder / "scores.json").read_text()))


def against_llama_cpp(gguf, folder, texts, tokens, ours):
    llama = llama_cpp.Llama(gguf, n_ctx=2048, n_threads=2, verbose=False)
    same = sum(llama.tokenize(text.encode(), add_bos=False, special=False) == ids
               for text, ids in zip(texts, tokens))
    print(f"llama.cpp: token ids equal on {same} of {len(texts)} texts")
    greedy(llama, "as it is, with 8-bit activations", ours)
    # The same weights as f32, so that llama.cpp no longer rounds activations.
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.allow_requantize = 0, True
    plain = folder / "f32.gguf"
    llama_cpp.llama_model_quantize(gguf.encode(), str(plain).encode(), parameters)
    llama = llama_cpp.Llama(str(plain), n_ctx=2048, n_threads=2, verbose=False)
    greedy(llama, "its weights as f32", ours)


def greedy(llama, file, ours):
    """Follows our tokens as long as llama.cpp would choose the same."""
    fine = 0
    for reply in ours:
        llama.reset()
        llama.eval(reply["prompt"])
        agreed = 0
        for token in reply["ids"]:
            logits = numpy.ctypeslib.as_array(
                llama_cpp.llama_get_logits_ith(llama._ctx.ctx, -1), shape=(llama.n_vocab(),))
            if int(logits.argmax()) != token:
                break
            agreed += 1
            llama.eval([token])
        # From the first token whose two best logits are this close, rounding decides.
        margins = reply["margins"]
        close = next((i for i, margin in enumerate(margins) if margin < 0.2), len(margins))
        fine += agreed >= close
        parted = f"; our margin there {margins[agreed]:.3f}" if agreed < len(margins) else ""
        print(f"  greedy: agrees for {agreed} of {len(margins)} tokens; first close call at {close}{parted}")
    print(f"llama.cpp, {file}: greedy agrees up to the first close call on {fine} of {len(ours)} prompts")


def against_transformers(folder, prompts, ours, scores):
    tokenizer = AutoTokenizer.from_pretrained(folder / "checkpoint")
    model = AutoModelForCausalLM.from_pretrained(folder / "checkpoint", dtype=torch.float32)
    same, worst = 0, 0.0
    for prompt, reply, score in zip(prompts, ours, scores):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True,
            return_tensors="pt", return_dict=True)["input_ids"]
        assert ids[0].tolist() == reply["prompt"], "the chat template renders otherwise"
        new = model.generate(ids, max_new_tokens=64, do_sample=False)[0][ids.shape[1]:]
        same += tokenizer.decode(new, skip_special_tokens=True) == reply["text"]
        whole = torch.tensor([reply["prompt"] + reply["ids"]])
        with torch.no_grad():
            logs = model(whole).logits.double().log_softmax(-1)[0]
        start = len(reply["prompt"])
        theirs = [logs[i - 1, whole[0, i]].item() for i in range(start, whole.shape[1])]
        worst = max(worst, abs(sum(theirs) / len(theirs) - score))
    print(f"transformers: loads the checkpoint; the same greedy text on {same} of {len(ours)} prompts; "
          f"mean log-probabilities differ by at most {worst:.1e}")


if __name__ == "__main__":
    main()
