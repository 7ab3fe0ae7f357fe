"""Random OPT checkpoints, in bfloat16, with the standard library alone."""
import json
import random

import random_llama

VOCABULARY = 512


def shapes(hidden, mlp, blocks, context):
    named = {"model.decoder.embed_tokens.weight": (VOCABULARY, hidden), "model.decoder.embed_positions.weight": (context + 2, hidden)}
    for i in range(blocks):
        p = f"model.decoder.layers.{i}."
        linear = {f"self_attn.{each}_proj": (hidden, hidden) for each in ("q", "k", "v", "out")} | {"fc1": (mlp, hidden), "fc2": (hidden, mlp)}
        for name, (rows, columns) in linear.items():
            named |= {f"{p}{name}.weight": (rows, columns), f"{p}{name}.bias": (rows,)}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            named |= {f"{p}{name}.weight": (hidden,), f"{p}{name}.bias": (hidden,)}
    return named | {"model.decoder.final_layer_norm.weight": (hidden,), "model.decoder.final_layer_norm.bias": (hidden,)}


def write_checkpoint(folder, hidden, mlp, blocks, heads, context):
    """A folder with config.json, one file of weights, and a tokenizer of bytes."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "opt", "architectures": ["OPTForCausalLM"], "vocab_size": VOCABULARY, "hidden_size": hidden, "ffn_dim": mlp,
        "num_hidden_layers": blocks, "num_attention_heads": heads, "max_position_embeddings": context, "word_embed_proj_dim": hidden,
        "do_layer_norm_before": True, "activation_function": "relu", "dropout": 0.0, "tie_word_embeddings": True, "pad_token_id": 1,
        "bos_token_id": 2, "eos_token_id": 2}))
    (folder / "vocab.json").write_text(json.dumps(random_llama.byte_vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    random_llama.write_shard(folder / "model.safetensors", shapes(hidden, mlp, blocks, context), random.Random(hidden * blocks))
