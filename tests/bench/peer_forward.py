#!/usr/bin/env python3
"""The same networks in timm and transformers, eager, on the same LibTorch: images/s and tokens/s of forward passes.

Run by throughput.py with the Python of .deps/peers. Data lie ready as normalised tensors and the best of several batch sizes counts, so
every doubt goes to the peer.
  peer_forward.py vit ZOO_FOLDER SECONDS    peer_forward.py lm ZOO_FOLDER SECONDS CONTEXT
Prints one JSON line: {"rate": ..., "batch": ..., "unit": ...}.
"""
import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file


def best_rate(run, batches, per_sample, seconds):
    best = (0.0, 0)
    with torch.inference_mode():
        for batch in batches:
            data = run.make(batch)
            run(data)
            run(data)
            rates = []
            stop = time.perf_counter() + seconds / len(batches)
            while time.perf_counter() < stop or len(rates) < 3:
                start = time.perf_counter()
                run(data)
                rates.append(batch * per_sample / (time.perf_counter() - start))
            rates.sort()
            best = max(best, (rates[len(rates) // 2], batch))
    return best


class Vit:
    def __init__(self, folder):
        from timm.models.vision_transformer import VisionTransformer
        config = json.loads((folder / "config.json").read_text())
        state = load_file(folder / "model.safetensors")
        self.chans, self.size = config.get("in_chans", 3), config["img_size"]
        self.model = VisionTransformer(img_size=self.size, patch_size=config["patch_size"], in_chans=self.chans, embed_dim=config["embed_dim"],
                                       depth=config["depth"], num_heads=config["num_heads"], num_classes=config["num_classes"]).eval()
        self.model.load_state_dict(state)

    def make(self, batch):
        return torch.randn(batch, self.chans, self.size, self.size)

    def __call__(self, images):
        return self.model(images).log_softmax(-1)


class LanguageModel:
    def __init__(self, folder, context):
        from transformers import AutoModelForCausalLM
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.context, self.vocabulary = context, self.model.config.vocab_size

    def make(self, batch):
        return torch.randint(0, self.vocabulary, (batch, self.context))

    def __call__(self, tokens):
        logits = self.model(tokens, use_cache=False).logits[:, :-1]
        return torch.nn.functional.cross_entropy(logits.reshape(-1, self.vocabulary), tokens[:, 1:].reshape(-1))


def main():
    torch.set_num_threads(1)
    kind, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    if kind == "vit":
        rate, batch = best_rate(Vit(folder), [16, 64, 256], 1, seconds)
        print(json.dumps({"rate": rate, "batch": batch, "unit": "images/s"}))
    else:
        context = int(sys.argv[4])
        rate, batch = best_rate(LanguageModel(folder, context), [1, 8, 32], context, seconds)
        print(json.dumps({"rate": rate, "batch": batch, "unit": "tokens/s"}))


if __name__ == "__main__":
    main()
