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
    """GFLOP in a processor second of large products, which sets the floor."""
    found = {}
    for name, kind in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
        a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
        seconds = []
        for _ in range(20):
            began = time.process_time()
            torch.mm(a, b)
            seconds.append(time.process_time() - began)
        found[name] = 2 * 2048**3 / median(seconds) / 1e9
    return found


def train(base, job):
    """A plain loop: AdamW, fused, with the settings of ours, over the batches that ours had."""
    model = load(base).train()
    if job["last_layers"]:
        model.requires_grad_(False)
        model.model.layers[-job["last_layers"]:].requires_grad_(True)
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.dim() > 1]
    norms = [p for p in trained if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-5, betas=(0.9, 0.95), eps=1e-8, fused=True)
    losses, seconds, processor = [], [], [time.process_time()]
    last = max(1, len(job["batches"]) - 1)
    for step, batch in enumerate(job["batches"]):
        ids, mask, labels = padded([job["examples"][i] for i in batch])
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = 1e-5 - 1e-6 * step / last
        with torch.autocast("cpu", torch.bfloat16, enabled=job["rounded"]):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time())
        losses.append(loss.item())
    return {"losses": losses, "seconds": seconds, "processor": processor}


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
    """SFTTrainer with its fastest settings on a processor: no checkpointing of activations."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.began = [time.perf_counter(), time.process_time()]

        def on_train_end(self, *_, **__):
            self.seconds = time.perf_counter() - self.began[0]
            self.processor = time.process_time() - self.began[1]

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
        learning_rate=1e-5, weight_decay=0.1, adam_beta2=0.95, max_grad_norm=1.0, bf16=job["rounded"],
        optim="adamw_torch_fused", gradient_checkpointing=False, use_cpu=True, report_to="none",
        save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=1)
    clock = Clock()
    SFTTrainer(model=load(base), args=settings, train_dataset=Dataset.from_list(rows),
               processing_class=AutoTokenizer.from_pretrained(base), peft_config=lora,
               callbacks=[clock]).train()
    return {"seconds": clock.seconds, "processor": clock.processor}


def greedy(base, job):
    """How many replies of ours the model writes too, with an adapter or without one."""
    model = load(job["model"]).eval()
    if job["adapter"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, job["adapter"])
    same, gaps = 0, []
    for prompt, reply in job["replies"]:
        # All of its choices at once: each follows from our tokens before it.
        with torch.no_grad():
            logits = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
        parted = (logits.argmax(-1) != torch.tensor(reply)).nonzero()
        if len(parted):
            best = logits[parted[0, 0]].topk(2).values
            gaps.append(round((best[0] - best[1]).item(), 5))
        else:
            same += 1
    return {"same": same, "gaps": gaps}


if __name__ == "__main__":
    what, base, job, out = sys.argv[1:]
    torch.set_num_threads(2)
    torch.manual_seed(1)
    parts = {"peak": peak, "torch": train, "trl": trl, "greedy": greedy}
    found = parts[what](base, json.load(open(job)))
    json.dump(found, open(out, "w"))
