"""Random LLaMA checkpoints of any size, in bfloat16 and in shards, with the standard library alone."""
import json
import random
import struct

VOCABULARY = 32000
SHARD_BYTES = 2 * 10**9
PIECE = 1 << 24
# The upper byte of a weight: sign and exponent of a size from 2^-7 to 2^-5, which a random lower byte completes.
UPPER = bytes(0x3C if byte < 128 else 0xBC for byte in range(256))


def shapes(hidden, intermediate, blocks, vocabulary):
    """Names and shapes in the order in which a forward pass needs them; every eighth head is one of keys and values."""
    named = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for i in range(blocks):
        p = f"model.layers.{i}."
        named |= {p + "input_layernorm.weight": (hidden,),
                  **{f"{p}self_attn.{each}_proj.weight": (hidden, hidden) for each in "qkvo"},
                  p + "post_attention_layernorm.weight": (hidden,),
                  **{f"{p}mlp.{each}_proj.weight": (intermediate, hidden) for each in ("gate", "up")},
                  p + "mlp.down_proj.weight": (hidden, intermediate)}
    return named | {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}


def count(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def block_parameters(hidden, intermediate):
    return 4 * hidden * hidden + 3 * hidden * intermediate


def write_tensor(file, shape, source):
    left = count(shape)
    if len(shape) == 1:  # a norm
        file.write(b"\x80\x3f" * left)
        return
    while left > 0:
        values = min(left, PIECE)
        piece = bytearray(2 * values)
        piece[0::2] = source.randbytes(values)
        piece[1::2] = source.randbytes(values).translate(UPPER)
        file.write(piece)
        left -= values


def write_shard(path, named, source):
    header, at = {"__metadata__": {"format": "pt"}}, 0  # transformers asks for it
    for name, shape in named.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + 2 * count(shape)]}
        at += 2 * count(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as the safetensors library: data begin at any multiple of 8
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in named.values():
            write_tensor(file, shape, source)


def split(named):
    shards, size = [{}], 0
    for name, shape in named.items():
        if size > 0 and size + 2 * count(shape) > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += 2 * count(shape)
    return shards


def byte_vocabulary():
    """The characters that byte-level tokenizers write for bytes, in the order of their ids."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    characters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return {characters[byte]: byte for byte in range(256)}


def write_checkpoint(folder, hidden, intermediate, blocks, head=128, context=256, vocabulary=VOCABULARY):
    """A folder with config.json, shards with their index, and a tokenizer of bytes. Returns the number of parameters."""
    folder.mkdir(parents=True)
    named = shapes(hidden, intermediate, blocks, vocabulary)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": intermediate,
        "num_hidden_layers": blocks, "num_attention_heads": hidden // head, "max_position_embeddings": context,
        "tie_word_embeddings": False}))
    (folder / "vocab.json").write_text(json.dumps(byte_vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    source, shards = random.Random(hidden * blocks), split(named)
    files = {}
    for i, shard in enumerate(shards, 1):
        name = f"model-{i:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / name, shard, source)
        files |= dict.fromkeys(shard, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return sum(map(count, named.values()))
