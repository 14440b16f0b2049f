"""The other side of `finetuning.py`, run by the peers' Python: `WHAT BASE JOB.json OUT.json`."""

import json
import sys
import time
from statistics import median

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa")


def peak(base, job):
    """GFLOP/s of the largest products, which sets the floor."""
    found = {}
    for name, kind in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
        a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
        seconds = []
        for _ in range(20):
            began = time.perf_counter()
            torch.mm(a, b)
            seconds.append(time.perf_counter() - began)
        found[name] = 2 * 2048**3 / median(seconds) / 1e9
    return found


def train(base, job):
    """A plain loop: AdamW, fused, with the settings of ours, over the batches that ours had."""
    model = load(base).train()
    decayed = [p for p in model.parameters() if p.dim() > 1]
    norms = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-5, betas=(0.9, 0.95), eps=1e-8, fused=True)
    losses, seconds = [], []
    last = max(1, len(job["batches"]) - 1)
    for step, batch in enumerate(job["batches"]):
        ids, mask, labels = padded([job["examples"][i] for i in batch])
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = 1e-5 - 1e-6 * step / last
        with torch.autocast("cpu", torch.bfloat16, enabled=job["rounded"]):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
        losses.append(loss.item())
    return {"losses": losses, "seconds": seconds}


def padded(examples):
    """Token ids, attention mask and labels; no mask where nothing is padded."""
    longest = max(len(ids) for ids, _ in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (tokens, learned) in enumerate(examples):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, : len(tokens)] = torch.where(torch.tensor(learned), torch.tensor(tokens), -100)
    return ids, None if mask.all() else mask, labels


def trl(base, job):
    """SFTTrainer with its fastest settings on a processor: bf16, no checkpointing of activations."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.began = time.perf_counter()

        def on_train_end(self, *_, **__):
            self.seconds = time.perf_counter() - self.began

    rows = [{"input_ids": ids, "completion_mask": [int(l) for l in learned]}
            for ids, learned in job["examples"]]
    lora = job["lora"] and LoraConfig(
        r=job["lora"][0], lora_alpha=job["lora"][1], lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    # A pack holds about as many tokens as a batch of 8 examples does: 2 packs of 1,024.
    settings = SFTConfig(
        output_dir="/tmp/unused", max_length=1024, packing=job["packing"], completion_only_loss=True,
        per_device_train_batch_size=2 if job["packing"] else 8, num_train_epochs=1,
        train_sampling_strategy="random" if job["packing"] else "group_by_length",
        learning_rate=1e-5, weight_decay=0.1, adam_beta2=0.95, max_grad_norm=1.0, bf16=True,
        optim="adamw_torch_fused", gradient_checkpointing=False, use_cpu=True, report_to="none",
        save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=1)
    clock = Clock()
    SFTTrainer(model=load(base), args=settings, train_dataset=Dataset.from_list(rows),
               processing_class=AutoTokenizer.from_pretrained(base), peft_config=lora,
               callbacks=[clock]).train()
    return {"seconds": clock.seconds}


def greedy(base, job):
    """Whether the model, or an adapter over it, writes the texts that our code wrote."""
    tokenizer, model = AutoTokenizer.from_pretrained(base), load(job["model"])
    if job["adapter"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, job["adapter"])
    same, fine = 0, 0
    for text in job["texts"]:
        ids = torch.tensor([text["prompt"]])
        new = model.generate(input_ids=ids, max_new_tokens=64, do_sample=False)[0][ids.shape[1]:]
        agreed = 0
        while agreed < len(text["ids"]) and new[agreed] == text["ids"][agreed]:
            agreed += 1
        same += tokenizer.decode(new, skip_special_tokens=True) == text["text"]
        # Where the two best logits are this close, rounding decides.
        fine += agreed == len(text["ids"]) or text["margins"][agreed] < 1e-3
    count = len(job["texts"])
    return {"said": f"the same greedy text on {same} of {count} prompts, and on {fine} but for rounding"}


if __name__ == "__main__":
    what, base, job, out = sys.argv[1:]
    torch.set_num_threads(2)
    torch.manual_seed(1)
    parts = {"peak": peak, "torch": train, "trl": trl, "greedy": greedy}
    found = parts[what](base, json.load(open(job)))
    json.dump(found, open(out, "w"))
