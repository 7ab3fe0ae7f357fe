"""Files of the formats that Assay reads, whole or broken on purpose, made by the standard library alone."""
import gzip
import json
import struct
import zlib


def safetensors(tensors, metadata=None):
    """tensors: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return with_header(json.dumps(header).encode(), data)


def with_header(header, data=b"", length=None):
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def floats(*shape, value=0.01):
    count = 1
    for extent in shape:
        count *= extent
    return ("F32", list(shape), struct.pack("<f", value) * count)


VIT_CONFIGURATION = {"architecture": "vit", "model_type": "vit", "img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 3,
                     "embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 2.0, "mean": [0.5], "std": [0.5]}


def vit_configuration(channels, size, patch, classes):
    return {**VIT_CONFIGURATION, "in_chans": channels, "img_size": size, "patch_size": patch, "num_classes": classes,
            "mean": [0.5] * channels, "std": [0.5] * channels}


def vit_tensors(channels=1, size=8, patch=4, classes=3):
    """A ViT of one block, by default on 8 x 8 grey images as VIT_CONFIGURATION says."""
    shapes = {"cls_token": (1, 1, 8), "pos_embed": (1, (size // patch) ** 2 + 1, 8),
              "patch_embed.proj.weight": (8, channels, patch, patch), "patch_embed.proj.bias": (8,),
              "blocks.0.norm1.weight": (8,), "blocks.0.norm1.bias": (8,), "blocks.0.attn.qkv.weight": (24, 8),
              "blocks.0.attn.qkv.bias": (24,), "blocks.0.attn.proj.weight": (8, 8), "blocks.0.attn.proj.bias": (8,),
              "blocks.0.norm2.weight": (8,), "blocks.0.norm2.bias": (8,), "blocks.0.mlp.fc1.weight": (16, 8),
              "blocks.0.mlp.fc1.bias": (16,), "blocks.0.mlp.fc2.weight": (8, 16), "blocks.0.mlp.fc2.bias": (8,),
              "norm.weight": (8,), "norm.bias": (8,), "head.weight": (classes, 8), "head.bias": (classes,)}
    return {name: floats(*shape) for name, shape in shapes.items()}


OPT_CONFIGURATION = {"model_type": "opt", "vocab_size": 256, "hidden_size": 8, "word_embed_proj_dim": 8, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "ffn_dim": 16, "max_position_embeddings": 32, "do_layer_norm_before": True,
                     "activation_function": "relu", "tie_word_embeddings": True}


def opt_tensors():
    """An OPT of one block with a vocabulary of 256, as OPT_CONFIGURATION says."""
    layer = "model.decoder.layers.0."
    shapes = {"model.decoder.embed_tokens.weight": (256, 8), "model.decoder.embed_positions.weight": (34, 8),
              "model.decoder.final_layer_norm.weight": (8,), "model.decoder.final_layer_norm.bias": (8,),
              layer + "fc1.weight": (16, 8), layer + "fc1.bias": (16,), layer + "fc2.weight": (8, 16), layer + "fc2.bias": (8,)}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes[f"{layer}self_attn.{name}.weight"] = (8, 8)
        shapes[f"{layer}self_attn.{name}.bias"] = (8,)
    for name in ("self_attn_layer_norm", "final_layer_norm"):
        shapes[f"{layer}{name}.weight"] = (8,)
        shapes[f"{layer}{name}.bias"] = (8,)
    return {name: floats(*shape) for name, shape in shapes.items()}


def idx(shape, data=None, kind=0x08, dimensions=None):
    count = 1
    for extent in shape:
        count *= extent
    head = bytes([0, 0, kind, len(shape) if dimensions is None else dimensions]) + b"".join(struct.pack(">I", n) for n in shape)
    return head + (bytes(count) if data is None else data)


def zipped(data):
    return gzip.compress(data, mtime=0)


def png(width, height, rows=None):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    content = b"".join(b"\0" + bytes(3 * width) for _ in range(height)) if rows is None else rows
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b""))


def byte_level_tokenizer():
    """A tokenizer.json over the 256 bytes without merges."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    stand_in = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        stand_in.setdefault(byte, chr(256 + sum(1 for other in range(byte) if other not in printable)))
    return {"version": "1.0", "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": None, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {stand_in[byte]: byte for byte in range(256)}, "merges": []}}
