"""Checkpoints and data sets of every form that the readers know, small enough for a stage to take milliseconds."""
import json
import math
import struct

import malformed_files as made


def numbers(shape, seed):
    """Values that differ, so that a changed byte shows in the figures."""
    count = 1
    for extent in shape:
        count *= extent
    return ("F32", list(shape), struct.pack(f"<{count}f", *(0.3 * math.sin(seed + 1.7 * i) for i in range(count))))


def tensors(like, seed=0):
    return {name: numbers(shape, seed + i) for i, (name, (_, shape, _)) in enumerate(sorted(like.items()))}


def opt_tensors(vocabulary, seed=0):
    like = made.opt_tensors()
    like["model.decoder.embed_tokens.weight"] = made.floats(vocabulary, 8)
    return tensors(like, seed)


def opt_config(vocabulary):
    return json.dumps({**made.OPT_CONFIGURATION, "vocab_size": vocabulary}).encode()


def vit(*shape):
    return {"config.json": json.dumps(made.vit_configuration(*shape)).encode(),
            "model.safetensors": made.safetensors(tensors(made.vit_tensors(*shape)))}


def sharded(vocabulary, seed=0):
    whole = opt_tensors(vocabulary, seed)
    names = sorted(whole)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    files = {shard: made.safetensors({name: whole[name] for name in inside}) for shard, inside in parts.items()}
    weight_map = {name: shard for shard, inside in parts.items() for name in inside}
    files["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    return files


def sentencepiece():
    """A unigram model over letters, as its protocol buffer lies on disk."""
    def field(number, content):
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    def piece(text, score, kind):
        return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind]))

    normal, unknown, control = 1, 2, 3
    pieces = [piece("<unk>", 0, unknown), piece("<s>", 0, control), piece("</s>", 0, control)]
    letters = "\u2581" + "abcdefghijklmnopqrstuvwxyz.,"
    pieces += [piece(letter, -2.0 - 0.1 * i, normal) for i, letter in enumerate(letters)]
    trainer = field(2, b"\x18\x01" + b"\x20" + varint(len(pieces)))
    normalizer = field(3, field(1, b"identity") + b"\x18\x01\x20\x01\x28\x01")
    return b"".join(pieces) + trainer + normalizer


def slow_tokenizer():
    vocabulary = dict(made.byte_level_tokenizer()["model"]["vocab"])
    vocabulary["th"], vocabulary["<|x|>"] = 256, 257
    return {"vocab.json": json.dumps(vocabulary).encode(), "merges.txt": b"#version: 0.2\nt h\n", "tokenizer_config.json": b"{}",
            "special_tokens_map.json": json.dumps({"unk_token": "<|x|>"}).encode(), "added_tokens.json": json.dumps({"<|x|>": 257}).encode()}


# Files that lie beside a checkpoint and are none of it.
STRAY = {name: f"stray {name}".encode() for name in
         ("notes.txt", "generation_config.json", "preprocessor_config.json", "training_args.json", "README.md", "tokenizer.backup")}


def language_models():
    """name -> (files of the folder, what `weights:` names below it)."""
    single = {"config.json": opt_config(256), "model.safetensors": made.safetensors(opt_tensors(256))}
    named = {"tiny.json": opt_config(256), "tiny.safetensors": made.safetensors(opt_tensors(256, 1)), "config.json": b"stray config",
             "stray.safetensors": made.safetensors(opt_tensors(256, 2))}
    return {
        "single": (single, ""),
        "shards": ({"config.json": opt_config(256), "consolidated.safetensors": b"stray consolidated", **sharded(256)}, ""),
        "index": ({"config.json": opt_config(256), "model.safetensors": b"stray single", **sharded(256, 3)}, "model.safetensors.index.json"),
        "named": (named, "tiny.safetensors"),
        "one": ({"config.json": opt_config(256), "odd-name.safetensors": made.safetensors(opt_tensors(256, 4))}, ""),
        "slow": ({"config.json": opt_config(300), "model.safetensors": made.safetensors(opt_tensors(300)), **slow_tokenizer()}, ""),
        "json": ({"config.json": opt_config(300), "model.safetensors": made.safetensors(opt_tensors(300)),
                  "tokenizer.json": json.dumps(made.byte_level_tokenizer()).encode(), "tokenizer_config.json": b"{}"}, ""),
        "pieces": ({"config.json": opt_config(256), "model.safetensors": made.safetensors(opt_tensors(256)),
                    "tokenizer.model": sentencepiece(), "tokenizer_config.json": b"{}"}, ""),
    }


def images():
    """name -> (model files, files of the data set, its entry in the sweep)."""
    pixels = bytes((7 * i) % 256 for i in range(12 * 64))
    labels = bytes(i % 3 for i in range(12))
    idx = {"train-i": made.idx((12, 8, 8), pixels), "train-l": made.idx((12,), labels), "test-i": made.zipped(made.idx((12, 8, 8), pixels[::-1])),
           "test-l": made.zipped(made.idx((12,), labels))}
    record = [bytes([i % 10]) + bytes((3 * i + 5 * j) % 256 for j in range(3072)) for i in range(12)]
    cifar = {"batch_1.bin": b"".join(record[:6]), "batch_2.bin": b"".join(record[6:]), "test.bin": b"".join(record), "batches.meta.txt": b"stray meta"}
    folder = {"train/readme.txt": b"stray readme", "val/cat/notes.md": b"stray notes"}
    for split in ("train", "val"):
        for number, name in enumerate(("cat", "dog", "emu")):
            for image in range(4):
                rows = b"".join(b"\0" + bytes((image * 40 + number * 9 + i) % 256 for i in range(24)) for _ in range(8))
                folder[f"{split}/{name}/{image}.png"] = made.png(8, 8, rows)
    return {
        "idx": (vit(1, 8, 4, 3), idx, "reader: idx, train: {images: %s/train-i, labels: %s/train-l}, test: {images: %s/test-i, labels: %s/test-l}"),
        "cifar": (vit(3, 32, 16, 10), cifar, "reader: cifar_binary, train: [%s/batch_1.bin, %s/batch_2.bin], test: [%s/test.bin]"),
        "folder": (vit(3, 8, 4, 3), folder, "reader: image_folder, root: %s"),
    }
