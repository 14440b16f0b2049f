"""Holds our model code against transformers, family by family, on small models of random weights.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch transformers gguf
    /tmp/peers/bin/python benches/families.py

Each model is read from safetensors (F32, F16, BF16, in one file and in several) and from GGUF in every
format that has weights of its own; the reference holds the very weights that the file holds, as f32.
Logits may differ by 1e-4; greedy tokens must be the same up to the first close call; a checkpoint that
we write must give transformers the same logits.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy
import torch
import transformers

PROJECT = Path(__file__).parent.parent
VOCABULARY = 320
SHAPE = dict(
    vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=5,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5,
    bos_token_id=1, eos_token_id=2, pad_token_id=0)
STRETCHED = dict(
    rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=8192)
FAMILIES = {
    "llama": ("Llama", dict(tie_word_embeddings=False)),
    "llama-wide": ("Llama", dict(
        tie_word_embeddings=False, hidden_size=256, intermediate_size=512, num_hidden_layers=2)),
    "llama-3": ("Llama", dict(tie_word_embeddings=True, rope_parameters=STRETCHED)),
    # As in TinyLlama, eight heads share one of keys.
    "tinyllama": ("Llama", dict(tie_word_embeddings=False, num_attention_heads=8, num_key_value_heads=1)),
    "mistral": ("Mistral", dict(tie_word_embeddings=False, sliding_window=24, head_dim=24)),
    "mistral-full": ("Mistral", dict(tie_word_embeddings=True, sliding_window=None)),
    "qwen-2": ("Qwen2", dict(tie_word_embeddings=True)),
    "qwen-3": ("Qwen3", dict(tie_word_embeddings=False, head_dim=32)),
    "smollm-3": ("SmolLM3", dict(tie_word_embeddings=True)),
}
# GGUF has no name for Mistral: its files say llama, without a window.
GGUF_NAMES = {"Llama": "llama", "Qwen2": "qwen2", "Qwen3": "qwen3", "SmolLM3": "smollm3"}
GGUF_TYPES = {
    "llama": ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"],
    # Their blocks are rows of 256.
    "llama-wide": ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"],
}
# Where a block of these has its scale, and the scale of its offsets (the second in units of the first).
K_SCALES = {
    "Q2_K": (5e-3, 80, (82, 1.5)), "Q3_K": (1.4e-3, 108, None), "Q4_K": (3e-4, 0, (2, 7.5)),
    "Q5_K": (1.5e-4, 0, (2, 15.5)), "Q6_K": (4.5e-5, 208, None)}
TEMPLATE = ("{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}"
            "{% if add_generation_prompt %}<s>assistant{% endif %}")


def small(family):
    name, keys = FAMILIES[family]
    config = getattr(transformers, name + "Config")(**{**SHAPE, **keys})
    torch.manual_seed(7)
    model = getattr(transformers, name + "ForCausalLM")(config).float().eval()
    with torch.no_grad():
        for key, values in model.named_parameters():
            # Norms and biases begin as ones and zeros, which would hide what is done with them.
            values.normal_(1.0 if "norm" in key else 0.0, 0.1 if values.dim() == 1 else 0.15)
    return name, config, model


def tokenizer(folder):
    words = ["<unk>", "<s>", "</s>"] + [f"w{i}" for i in range(VOCABULARY - 3)]
    control = [dict(id=i, content=words[i], single_word=False, lstrip=False, rstrip=False,
                    normalized=False, special=True) for i in range(3)]
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", added_tokens=control, pre_tokenizer=dict(type="WhitespaceSplit"),
        model=dict(type="WordLevel", unk_token="<unk>", vocab={w: i for i, w in enumerate(words)}))))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(
        bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE)))


def write_safetensors(model, folder, dtype, shard):
    """Returns the model with the rounded weights, as f32; its tables of positions are not rounded."""
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    tokenizer(folder)
    assert (folder / "model.safetensors.index.json").exists() == (shard != "1GB"), folder
    return loaded(folder)


def loaded(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def paired(values, heads):
    """Rotary pairs side by side, as llama.cpp's conversion of Llamas lays them."""
    rows = values.reshape(heads, 2, -1, values.shape[-1])
    return rows.swapaxes(1, 2).reshape(values.shape)


def random_blocks(kind, shape, generator=numpy.random.default_rng(3)):
    """Blocks of random bits, since the package reads these formats and does not write them."""
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    rows = generator.integers(0, 256, (shape[0], shape[1] // weights, size), dtype=numpy.uint8)
    scale, at, offset = K_SCALES[kind.name]
    scales = scale * generator.uniform(0.5, 1.5, rows.shape[:2])
    for place, values in [(at, scales)] + ([(offset[0], scales * offset[1])] if offset else []):
        rows[:, :, place:place + 2] = values.astype(numpy.float16)[..., None].view(numpy.uint8)
    return rows.reshape(shape[0], -1)


def write_gguf(name, config, model, path, kind):
    """Leaves the model with the weights that the file holds."""
    kind = gguf.GGMLQuantizationType[kind]
    arch = GGUF_NAMES[name]
    writer = gguf.GGUFWriter(path, arch)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    # A byte-level vocabulary: 256 bytes, and words that no merge makes.
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    words = ["<unk>", "<s>", "</s>"] + [chr(b) for b in visible] + [chr(256 + i) for i in range(68)]
    words += ["he"]
    words += [f"unused{i}" for i in range(VOCABULARY - len(words))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3] * 3 + [1] * (VOCABULARY - 3))
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    if config.rope_parameters["rope_type"] == "llama3":
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
        plain = 1.0 / config.rope_parameters["rope_theta"] ** (torch.arange(0, head, 2).float() / head)
        stretched = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")[0]
        writer.add_tensor("rope_freqs.weight", (plain / stretched).numpy().astype(numpy.float32))
    with torch.no_grad():
        for key, values in model.state_dict().items():
            if key == "lm_head.weight" and config.tie_word_embeddings:
                continue
            array = values.numpy()
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
            part = next((heads[p] for p in heads if p + ".weight" in key), None)
            part = part if arch in ("llama", "smollm3") else None
            if array.ndim == 2:
                stored = (random_blocks(kind, array.shape) if kind.name in K_SCALES else
                          gguf.quants.quantize(paired(array, part) if part else array, kind))
                held = gguf.quants.dequantize(stored, kind).reshape(array.shape)
                values.copy_(torch.from_numpy(unpaired(held, part) if part else held.copy()))
            else:
                stored = array
            writer.add_tensor(names.get_name(key, (".weight", ".bias")), stored,
                              raw_dtype=kind if array.ndim == 2 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def unpaired(values, heads):
    rows = values.reshape(heads, -1, 2, values.shape[-1])
    return numpy.ascontiguousarray(rows.swapaxes(1, 2).reshape(values.shape))


def expected(model, sequences):
    """Logits after each sequence; greedy tokens with the distance between the two best logits."""
    logits, greedy, margins = [], [], []
    with torch.no_grad():
        for ids in sequences:
            ids, made, close = list(ids), [], []
            for step in range(24):
                after = model(torch.tensor([ids])).logits[0, -1]
                if step == 0:
                    logits.append(after)
                best = after.topk(2)
                close.append((best.values[0] - best.values[1]).item())
                made.append(best.indices[0].item())
                if made[-1] == 2:
                    break
                ids.append(made[-1])
            greedy.append(made)
            margins.append(close)
    return logits, greedy, margins


def check(label, found, reference):
    logits, greedy, margins = reference
    worst = max((torch.tensor(ours) - theirs).abs().max().item()
                for ours, theirs in zip(found["logits"], logits))
    same = 0
    for ours, theirs, close in zip(found["greedy"], greedy, margins):
        theirs = theirs[:-1] if theirs[-1] == 2 else theirs
        first = next((i for i, margin in enumerate(close) if margin < 1e-3), len(close))
        same += ours[:first] == theirs[:first]
    fine = worst < 1e-4 and same == len(greedy)
    print(f"{label:28} logits differ by at most {worst:.1e}; "
          f"greedy the same on {same} of {len(greedy)}{'' if fine else '  WRONG'}", flush=True)
    return fine


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    generator = torch.Generator().manual_seed(1)
    lengths = [1, 5, 63, 64, 130, 200]
    sequences = [torch.randint(3, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "ids.json").write_text(json.dumps(sequences))
        references = {}
        for family in FAMILIES:
            for dtype, shard in [("float32", "1GB"), ("bfloat16", "50KB"), ("float16", "1GB")]:
                name, config, model = small(family)
                path = folder / f"{family}-{dtype}"
                model = write_safetensors(model, path, getattr(torch, dtype), shard)
                references[path] = expected(model, sequences)
            if name in GGUF_NAMES:
                for kind in GGUF_TYPES.get(family, ["F32", "Q8_0"]):
                    name, config, model = small(family)
                    path = folder / f"{family}-{kind}.gguf"
                    write_gguf(name, config, model, path, kind)
                    references[path] = expected(model, sequences)
        subprocess.run(
            ["cargo", "run", "--quiet", "--release", "--example", "logits", "--",
             folder / "ids.json", *references], cwd=PROJECT, check=True)
        for path, reference in references.items():
            fine &= check(path.name, json.loads(Path(f"{path}.json").read_text()), reference)
        for path, (logits, _, _) in references.items():
            model = loaded(f"{path}.again")
            with torch.no_grad():
                worst = max((model(torch.tensor([ids])).logits[0, -1] - theirs).abs().max().item()
                            for ids, theirs in zip(sequences, logits))
            if worst >= 1e-4:
                fine = False
                print(f"{path.name}: our checkpoint's logits differ by {worst:.1e} in transformers  WRONG")
    print("all the same" if fine else "some differ")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
