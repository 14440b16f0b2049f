"""Holds the SentencePiece tokenizers that we read from GGUF against SentencePiece itself.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install sentencepiece protobuf gguf numpy
    /tmp/peers/bin/pip install --no-deps mistral-common
    /tmp/peers/bin/python benches/sentence_pieces.py [--llama-tokenize PROGRAM] [TEXT.jsonl...]

The vocabularies are Mistral's (five, in the package mistral-common) and two that are trained here on
the texts, one without a space before the text. Texts are all strings of the files (the quickstart's
seed, if none is named), as many made of pieces of the vocabulary in random order, and hard cases.
Tokens and the text that they give back must be the same, one and all.
With llama.cpp's `llama-tokenize`, some texts go through it too, and one with a piece that the makers of
the vocabulary defined: after it llama.cpp and we begin with a space again, and SentencePiece does not.
"""

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

PROJECT = Path(__file__).parent.parent
NORMAL, USER_DEFINED = 1, 4
HARD = [
    "", " ", "  ", "a", " a", "a ", "   a  b   ", "\n", "\n\n\t x", "\r\n", "é e\u0301 ß ǆ", "日本語のテキスト",
    "🙂👩\u200d👩\u200d👧 \U00100000", "x" * 300, " " * 70, "=" * 50, "1234567890 3.14", "\u2581 \u2581\u2581a",
    "<0x0A>", "< s>", "</ s>", "def f(x):\n\treturn  x\n", "\u0000", "\u200b\ufeff", "don't WON'T",
    "aaaaaaaaaaaaa bbbbbbbbbbbbbbb abababababab"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", nargs="*", type=Path)
    parser.add_argument("--llama-tokenize", type=Path)
    arguments = parser.parse_args()
    texts = []
    for path in arguments.texts or [PROJECT / "recipes/quickstart/seed.jsonl"]:
        for line in path.read_text().splitlines():
            texts += [value for value in json.loads(line).values() if isinstance(value, str)]
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, path in vocabularies(folder, texts).items():
            fine &= check(name, path, texts, folder, arguments.llama_tokenize)
    print("all the same" if fine else "some differ")
    sys.exit(not fine)


def vocabularies(folder, texts):
    found = {}
    package = importlib.util.find_spec("mistral_common")
    if package:
        for path in sorted((Path(package.submodule_search_locations[0]) / "data").glob("*.model*")):
            found[path.name] = path
    else:
        print("mistral-common is not installed: its vocabularies are left out", file=sys.stderr)
    for name, spaced in [("trained", True), ("trained, no space before", False)]:
        prefix = folder / f"trained-{spaced}"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_prefix=str(prefix), vocab_size=1500, model_type="bpe",
            byte_fallback=True, add_dummy_prefix=spaced, remove_extra_whitespaces=False,
            normalization_rule_name="identity", split_digits=True, minloglevel=2,
            allow_whitespace_only_pieces=True)
        found[name] = Path(f"{prefix}.model")
    return found


def check(name, path, texts, folder, llama):
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    random.seed(1)
    proto = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    of_kind = lambda kind: [piece.piece for piece in proto.pieces if piece.type == kind]
    plain = of_kind(NORMAL)
    mixed = ["".join(random.choices(plain, k=random.randint(1, 60))).replace("\u2581", " ") for _ in texts]
    texts = [*HARD, *texts, *mixed]
    compared = len(texts)
    texts += [f"one {piece} two" for piece in of_kind(USER_DEFINED)[:1]]
    model = folder / "model.gguf"
    write(proto, model)
    (folder / "texts.json").write_text(json.dumps(texts))
    example = ["cargo", "run", "--quiet", "--release", "--example", "tokens", "--"]
    subprocess.run([*example, folder / "texts.json", model], cwd=PROJECT, check=True)
    found = json.loads(Path(f"{model}.json").read_text())
    wrong, tokens = [], 0

    def apart(ids, theirs):
        at = next((i for i, (a, b) in enumerate(zip(ids, theirs)) if a != b), min(len(ids), len(theirs)))
        return [[pieces.id_to_piece(i) for i in ids[max(0, at - 2):at + 6]] for ids in (ids, theirs)]

    for text, (ids, back) in zip(texts[:compared], found):
        theirs = pieces.encode(text)
        tokens += len(theirs)
        if ids != theirs or back != pieces.decode(theirs):
            wrong.append((text, ids, theirs, back))
    verdict = "  WRONG" if wrong else ""
    print(f"{name}: {compared} texts, {tokens} tokens, {len(wrong)} texts differ{verdict}", flush=True)
    for text, ids, theirs, back in wrong[:3]:
        print("  {!r}: ours {}, theirs {}".format(text[:60], *apart(ids, theirs)))
    if llama:
        command = [llama, "-m", model, "--ids", "--no-bos", "--no-parse-special", "--no-escape",
                   "--log-disable", "--stdin"]
        some = [*range(0, compared, max(1, compared // 60)), *range(compared, len(texts))]
        some = [i for i in some if texts[i]]
        same = 0
        for i in some:
            told = subprocess.run(command, input=texts[i].encode(), capture_output=True, check=True)
            theirs = json.loads(told.stdout)
            same += theirs == found[i][0]
            if theirs != found[i][0]:
                print("  {!r}: ours {}, llama.cpp's {}".format(texts[i][:60], *apart(found[i][0], theirs)))
        print(f"  llama.cpp: the same on {same} of {len(some)} texts")
    return not wrong


def write(proto, out):
    """A Llama of one small layer with this vocabulary."""
    size, hidden = len(proto.pieces), 32
    writer = gguf.GGUFWriter(out, "llama")
    for add, number in [("context_length", 64), ("embedding_length", hidden), ("block_count", 1),
                        ("feed_forward_length", 32), ("head_count", 2), ("head_count_kv", 2),
                        ("layer_norm_rms_eps", 1e-5), ("rope_dimension_count", 16), ("vocab_size", size)]:
        getattr(writer, f"add_{add}")(number)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece.piece for piece in proto.pieces])
    writer.add_token_scores([piece.score for piece in proto.pieces])
    writer.add_token_types([piece.type for piece in proto.pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
    writer.add_chat_template("{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}")
    tensor = lambda name, *shape: writer.add_tensor(name, numpy.ones(shape, numpy.float32))
    for name in ["token_embd", "output"]:
        tensor(f"{name}.weight", size, hidden)
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"]:
        tensor(f"{name}.weight", hidden)
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        tensor(f"blk.0.{name}.weight", 32, 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
