"""Safetensors files and quantized artifacts, read and written with the standard library alone."""
import json
import struct


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    data = raw[8 + size:]
    return {name: (entry["dtype"], entry["shape"], data[entry["data_offsets"][0]:entry["data_offsets"][1]])
            for name, entry in header.items()}


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def floats(tensor):
    return struct.unpack(f"<{len(tensor[2]) // 4}f", tensor[2])


def decoded(artifact):
    """Weights of a quantized artifact whose grids belong to rows: scale (code - zero), rounded once to float32."""
    codes = read_safetensors(artifact / "codes.safetensors")
    weights = {}
    for layer in json.loads((artifact / "quantization.json").read_text())["layers"]:
        _, (rows, columns), raw = codes[layer + ".code"]
        scale, zero = floats(codes[layer + ".scale"]), floats(codes[layer + ".zero"])
        # A product of two float32 numbers is exact in a double, so packing it rounds once, as a float32 product does.
        weights[layer + ".weight"] = struct.pack(
            f"<{rows * columns}f", *(scale[r] * (raw[r * columns + c] - zero[r]) for r in range(rows) for c in range(columns)))
    return weights
