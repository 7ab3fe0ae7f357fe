#!/usr/bin/env python3
"""Compositions of methods against the same steps done by hand: a step's network saved, named as `weights:`, and the next method alone.

    tests/e2e/compose_test.py --assay build/dev/bin/assay

`a + b` means that b works on the network that a made and that the evaluation uses what both made, so every figure must be equal to
the last bit. Networks, images and texts are small and made here.
"""
import argparse
import json
import os
import random
import sqlite3
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from checkpoints import decoded, floats, read_safetensors, write_safetensors

options = None

VIT = ("{img_size: 8, patch_size: 4, in_chans: 1, embed_dim: 16, depth: 2, num_heads: 2, num_classes: 6, mean: [0.5], "
       "std: [0.5]}")
LLAMA = ("{vocab_size: 256, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2, "
         "num_key_value_heads: 1, max_position_embeddings: 32, rms_norm_eps: 1.0e-5, tie_word_embeddings: true}")
TRAIN = "train: {steps: 6, batch: 8, lr: 1.0e-2}"
RTN = "rtn: {samples: 8}"
EVALUATE = {"vit": "  - {metric: top1, shards: 2}\n", "llama": "  - {metric: perplexity, context: 32, shards: 2}\n"}


def idx(path, values, shape):
    path.write_bytes(struct.pack(">BBBB", 0, 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + bytes(values))


def write_images(folder, split, count, seed):
    source = random.Random(seed)
    labels = [source.randrange(6) for _ in range(count)]
    pixels = []
    for label in labels:
        pixels += [(40 * label + 5 * (i % 8) + source.randrange(60)) % 256 for i in range(64)]
    idx(folder / f"{split}-images", pixels, (count, 8, 8))
    idx(folder / f"{split}-labels", labels, (count,))


def write_text(path, words, seed):
    source = random.Random(seed)
    known = ["assay", "of", "a", "network", "measures", "what", "was", "asked", "and", "nothing", "else"]
    path.write_text(" ".join(source.choice(known) for _ in range(words)) + "\n")


class ComposeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="assay-compose-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = Path(cls.temporary.name)
        cls.environment = {**os.environ, "ASSAY_STORE": str(cls.folder / "store"), "XDG_CACHE_HOME": str(cls.folder / "cache")}
        for split, count, seed in (("train", 64, 1), ("test", 50, 2)):
            write_images(cls.folder, split, count, seed)
        write_text(cls.folder / "train.txt", 900, 3)
        write_text(cls.folder / "test.txt", 300, 4)
        # First steps, alone; what they made becomes checkpoints.
        cls.run_sweep("first", {"vit": VIT, "llama": LLAMA},
                      f"  - {{model: [vit, llama], method: train, seed: 1, {TRAIN}}}\n")
        for model in ("vit", "llama"):
            cls.save("first", cls.rows("first", f"SELECT id FROM trial WHERE model = '{model}'")[0][0], f"{model}_trained")

    @classmethod
    def sweep(cls, name, models, trials):
        entries = ""
        for model, source in models.items():
            family = "vit" if model.startswith("vit") else "llama"
            data = "images" if family == "vit" else "text"
            place = f"config: {source}" if source.startswith("{") else f"weights: {source}"
            entries += f"  {model}: {{family: {family}, {place}, data: {data}}}\n"
        path = cls.folder / f"{name}.yaml"
        path.write_text(f"""assay: 1
name: {name}
models:
{entries}data:
  images: {{reader: idx, train: {{images: train-images, labels: train-labels}}, test: {{images: test-images, labels: test-labels}}}}
  text: {{reader: text, train: train.txt, test: test.txt}}
trials:
{trials}evaluate:
{"".join(EVALUATE[model] for model in models)}run: {{max_failures: none}}
""")
        return path

    @classmethod
    def assay(cls, *arguments):
        return subprocess.run([str(Path(options.assay).resolve()), *arguments], env=cls.environment, cwd=cls.folder, text=True,
                              capture_output=True, timeout=300, stdin=subprocess.DEVNULL)

    @classmethod
    def artifact(cls, run, method):
        """The folder of what a method of the run made of its network."""
        key = cls.rows(run, f"SELECT network_stage FROM trial WHERE method = '{method}'")[0][0]
        return next(cls.folder.glob(f"store/**/{key}"), None) or next(cls.folder.glob(f"store/**/{key[2:]}"))

    @classmethod
    def run_sweep(cls, name, models, trials):
        path = cls.sweep(name, models, trials)
        done = cls.assay("run", str(path), "--out", str(cls.folder / name), "--jobs", "2")
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @classmethod
    def rows(cls, name, query):
        with sqlite3.connect(f"file:{cls.folder / name}/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    @classmethod
    def save(cls, run, trial, checkpoint):
        done = cls.assay("save", trial, "--run", str(cls.folder / run), "-o", str(cls.folder / checkpoint))
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @classmethod
    def figures(cls, run, model, method):
        """{(bits, metric, name): value} of the trials of a model and method; every figure must be there."""
        rows = cls.rows(run, "SELECT bits, metric, name, value FROM leaderboard WHERE metric <> 'network' AND "
                             f"model = '{model}' AND method = '{method}'")
        found = {(bits, metric, name): value for bits, metric, name, value in rows if name != "top5"}
        if not found or None in found.values():
            raise AssertionError(f"{model} {method}: {rows}")
        return found

    def test_train_then_quantize_is_the_trained_network_quantized(self):
        steps = ["rtn", "gptq", "rtn + gptq"]
        bits = "[W4A16, W3A16]"
        composed = ", ".join(f"train + {s}" for s in steps)
        self.run_sweep("composed", {"vit": VIT, "llama": LLAMA},
                       f"  - {{model: vit, method: [{composed}], bits: {bits}, seed: 1, {TRAIN}, gptq: {{samples: 8}}}}\n"
                       f"  - {{model: vit, method: train + rtn, bits: W8A8, seed: 1, {TRAIN}, {RTN}}}\n"
                       f"  - {{model: vit, method: train + psaq_vit, bits: W4A8, seed: 1, {TRAIN}, "
                       "psaq_vit: {images: 4, rounds: 1, steps: 10}}\n"
                       f"  - {{model: llama, method: [{composed}], bits: {bits}, seed: 1, {TRAIN}, "
                       "gptq: {samples: 8, context: 32}}\n"
                       f"  - {{model: llama, method: train + rtn, bits: W8A8, seed: 1, {TRAIN}, rtn: {{samples: 8, context: 32}}}}\n")
        by_hand = ", ".join(steps)
        self.run_sweep("by_hand", {"vit": "vit_trained", "llama": "llama_trained"},
                       f"  - {{model: vit, method: [{by_hand}], bits: {bits}, seed: 1, gptq: {{samples: 8}}}}\n"
                       f"  - {{model: vit, method: rtn, bits: W8A8, seed: 1, {RTN}}}\n"
                       "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1, psaq_vit: {images: 4, rounds: 1, steps: 10}}\n"
                       f"  - {{model: llama, method: [{by_hand}], bits: {bits}, seed: 1, gptq: {{samples: 8, context: 32}}}}\n"
                       "  - {model: llama, method: rtn, bits: W8A8, seed: 1, rtn: {samples: 8, context: 32}}\n")
        for model in ("vit", "llama"):
            for step in steps + (["psaq_vit"] if model == "vit" else []):
                with self.subTest(model=model, method=step):
                    figures = self.figures("composed", model, f"train + {step}")
                    self.assertEqual(figures, self.figures("by_hand", model, step))
                    # It is not the figure of the trained network itself, nor of one that was never trained.
                    first = self.figures("first", model, "train")
                    for (_, metric, name), value in figures.items():
                        if name in ("cross_entropy", "perplexity"):
                            self.assertNotEqual(value, first[("", metric, name)])

    def test_a_quantizer_after_a_quantizer_works_on_rounded_weights(self):
        self.run_sweep("twice", {"vit": "vit_trained"},
                       "  - {model: vit, method: [rtn, rtn + gptq], bits: W4A16, calibration_seed: 1, gptq: {samples: 8}}\n")
        artifact = self.artifact("twice", "rtn")
        rounded = self.folder / "vit_rounded"
        rounded.mkdir()
        (rounded / "config.json").write_bytes((self.folder / "vit_trained" / "config.json").read_bytes())
        tensors = read_safetensors(self.folder / "vit_trained" / "model.safetensors")
        weights = decoded(artifact)
        self.assertEqual(len(weights), 10)
        for name, raw in weights.items():
            dtype, shape, before = tensors[name]
            self.assertEqual((dtype, len(before)), ("F32", len(raw)))
            tensors[name] = (dtype, shape, raw)
        write_safetensors(rounded / "model.safetensors", tensors)
        self.run_sweep("rounded", {"vit": "vit_rounded"},
                       "  - {model: vit, method: [float, gptq], bits: W4A16, calibration_seed: 1, gptq: {samples: 8}}\n")
        self.assertEqual(self.figures("twice", "vit", "rtn")[("W4A16", "top1", "cross_entropy")],
                         self.figures("rounded", "vit", "float")[("", "top1", "cross_entropy")])
        self.assertEqual(self.figures("twice", "vit", "rtn + gptq"), self.figures("rounded", "vit", "gptq"))

    def test_three_steps_and_activations_rounded_before_weights(self):
        two = "rtn + gptq"
        rest = "rtn: {quantize: activations, samples: 8}, gptq: {samples: 8}"
        self.run_sweep("three", {"vit": VIT},
                       f"  - {{model: vit, method: train + {two}, bits: W4A8, seed: 1, {TRAIN}, {rest}}}\n")
        self.run_sweep("two", {"vit": "vit_trained"},
                       f"  - {{model: vit, method: [{two}], bits: W4A8, seed: 1, {rest}}}\n"
                       "  - {model: vit, method: [gptq], bits: W4A16, seed: 1, gptq: {samples: 8}}\n"
                       "  - {model: vit, method: [rtn], bits: W16A8, seed: 1, rtn: {samples: 8}}\n")
        figures = self.figures("three", "vit", f"train + {two}")
        self.assertEqual(figures, self.figures("two", "vit", two))
        both = figures[("W4A8", "top1", "cross_entropy")]
        self.assertNotEqual(both, self.figures("two", "vit", "gptq")[("W4A16", "top1", "cross_entropy")])
        self.assertNotEqual(both, self.figures("two", "vit", "rtn")[("W16A8", "top1", "cross_entropy")])
        # Weights by gptq, which leaves the first and the last layer alone; activations by rtn.
        bits = self.rows("three", "SELECT name, value FROM leaderboard WHERE metric = 'network' ORDER BY name")
        self.assertEqual([name for name, _ in bits], ["bits_per_weight", "float_layers", "weight_bytes"])
        self.assertEqual(dict(bits)["float_layers"], 2)
        quantization = json.loads(self.rows("three", "SELECT json_extract(s.result, '$.quantization') FROM leaderboard l "
                                            "JOIN stage s ON s.key = l.network_stage")[0][0])
        self.assertEqual(quantization["weights"]["float_layers"], ["patch_embed.proj", "head"])
        self.assertGreater(quantization["activations"]["sites"], 10)

    def test_weights_are_quantized_behind_scaled_channels(self):
        steps, rest = ["gptq", "boa", "turboboa"], "samples: 8, context: 32"
        composed = ", ".join(f"smoothquant + {step}" for step in steps)
        self.run_sweep("smooth", {"llama": "llama_trained"},
                       "  - {model: llama, method: smoothquant, bits: W16A16, smoothquant: {quantize: none}, "
                       f"calibration_seed: 1, {rest}}}\n"
                       f"  - {{model: llama, method: [{composed}], bits: W3A16, smoothquant: {{quantize: none}}, "
                       f"calibration_seed: 1, {rest}}}\n")
        artifact = self.artifact("smooth", "smoothquant")
        smoothed = self.folder / "llama_smoothed"
        smoothed.mkdir()
        (smoothed / "config.json").write_bytes((self.folder / "llama_trained" / "config.json").read_bytes())
        tensors = read_safetensors(self.folder / "llama_trained" / "model.safetensors")

        def floats(raw):
            return struct.unpack(f"<{len(raw) // 4}f", raw)

        def change(name, change_of):
            dtype, shape, raw = tensors[name]
            values = [change_of(value, i % shape[-1]) for i, value in enumerate(floats(raw))]
            tensors[name] = (dtype, shape, struct.pack(f"<{len(values)}f", *values))

        scaled = 0
        for name, (_, _, raw) in read_safetensors(artifact / "codes.safetensors").items():
            if not name.endswith(".channel_scale"):
                continue
            scaled += 1
            factors, block = floats(raw), name.split(".self_attn.")[0].split(".mlp.")[0]
            attention = ".self_attn." in name
            norm = "input_layernorm" if attention else "post_attention_layernorm"
            change(f"{block}.{norm}.weight", lambda value, column: value / factors[column])
            for layer in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj") if attention else ("mlp.gate_proj", "mlp.up_proj"):
                change(f"{block}.{layer}.weight", lambda value, column: value * factors[column])
        self.assertEqual(scaled, 4)
        write_safetensors(smoothed / "model.safetensors", tensors)
        self.run_sweep("behind", {"llama": "llama_smoothed"},
                       f"  - {{model: llama, method: [float, {', '.join(steps)}], bits: W3A16, calibration_seed: 1, {rest}}}\n")
        for step in steps:
            self.assertEqual(self.figures("smooth", "llama", f"smoothquant + {step}"), self.figures("behind", "llama", step))
        smooth = self.figures("smooth", "llama", "smoothquant")[("W16A16", "perplexity", "perplexity")]
        self.assertEqual(smooth, self.figures("behind", "llama", "float")[("", "perplexity", "perplexity")])
        self.assertAlmostEqual(smooth / self.figures("first", "llama", "train")[("", "perplexity", "perplexity")], 1, places=5)

    def test_activations_are_rounded_behind_channels_that_awq_has_scaled(self):
        data = "calibration_seed: 1, samples: 8, context: 32"
        rest = f"{data}, rtn: {{quantize: activations}}"
        self.run_sweep("aware", {"llama": "llama_trained"},
                       f"  - {{model: llama, method: awq, bits: W3A16, {data}}}\n"
                       f"  - {{model: llama, method: awq + rtn, bits: W3A8, {rest}}}\n")
        artifact = self.artifact("aware", "awq")
        tensors = read_safetensors(self.folder / "llama_trained" / "model.safetensors")
        for name, raw in decoded(artifact).items():
            tensors[name] = (*tensors[name][:2], raw)
        scaled = 0
        for name, tensor in read_safetensors(artifact / "codes.safetensors").items():
            if not name.endswith(".channel_scale"):
                continue
            scaled += 1
            # What else stands before a scaled layer is a rounded weight: v_proj, up_proj.
            for layer, norm in (("q_proj", "input_layernorm"), ("gate_proj", "post_attention_layernorm")):
                if f".{layer}." not in name:
                    continue
                norm = f"{name.split('.self_attn.')[0].split('.mlp.')[0]}.{norm}.weight"
                values = [value / factor for value, factor in zip(floats(tensors[norm]), floats(tensor))]
                tensors[norm] = (*tensors[norm][:2], struct.pack(f"<{len(values)}f", *values))
        self.assertEqual(scaled, 6)  # two blocks: q, k, v; gate, up; down; not o_proj, whose heads share a value
        folded = self.folder / "llama_aware"
        folded.mkdir()
        (folded / "config.json").write_bytes((self.folder / "llama_trained" / "config.json").read_bytes())
        write_safetensors(folded / "model.safetensors", tensors)
        self.run_sweep("folded", {"llama": "llama_aware"},
                       f"  - {{model: llama, method: float}}\n  - {{model: llama, method: rtn, bits: W16A8, {rest}}}\n")
        awq = self.figures("aware", "llama", "awq")[("W3A16", "perplexity", "perplexity")]
        both = self.figures("aware", "llama", "awq + rtn")[("W3A8", "perplexity", "perplexity")]
        self.assertEqual(awq, self.figures("folded", "llama", "float")[("", "perplexity", "perplexity")])
        self.assertEqual(both, self.figures("folded", "llama", "rtn")[("W16A8", "perplexity", "perplexity")])
        self.assertEqual(len({awq, both, self.figures("first", "llama", "train")[("", "perplexity", "perplexity")]}), 3)

    def test_activations_are_rounded_behind_scales_that_omniquant_has_learned(self):
        data = "calibration_seed: 1, samples: 8, context: 32, omniquant: {quantize: weights, let_on: all, epochs: 2}"
        rest = f"{data}, rtn: {{quantize: activations}}"
        self.run_sweep("learned", {"llama": "llama_trained"},
                       f"  - {{model: llama, method: omniquant, bits: W3A16, {data.replace('quantize: weights, ', '')}}}\n"
                       f"  - {{model: llama, method: omniquant + rtn, bits: W3A8, {rest}}}\n")
        artifact = self.artifact("learned", "omniquant")
        tensors = read_safetensors(self.folder / "llama_trained" / "model.safetensors")
        for name, raw in decoded(artifact).items():
            tensors[name] = (*tensors[name][:2], raw)
        made = read_safetensors(artifact / "codes.safetensors")
        replaced = json.loads((artifact / "quantization.json").read_text())["parameters"]
        self.assertEqual(len(replaced), 4)  # both norms of two blocks
        for name in replaced:
            self.assertNotEqual(tensors[name], made[name])
            tensors[name] = made[name]
        folded = self.folder / "llama_learned"
        folded.mkdir()
        (folded / "config.json").write_bytes((self.folder / "llama_trained" / "config.json").read_bytes())
        write_safetensors(folded / "model.safetensors", tensors)
        self.run_sweep("burnt", {"llama": "llama_learned"},
                       "  - {model: llama, method: float}\n  - {model: llama, method: rtn, bits: W16A8, calibration_seed: 1, "
                       "samples: 8, context: 32, rtn: {quantize: activations}}\n")
        alone = self.figures("learned", "llama", "omniquant")[("W3A16", "perplexity", "perplexity")]
        both = self.figures("learned", "llama", "omniquant + rtn")[("W3A8", "perplexity", "perplexity")]
        self.assertEqual(alone, self.figures("burnt", "llama", "float")[("", "perplexity", "perplexity")])
        self.assertEqual(both, self.figures("burnt", "llama", "rtn")[("W16A8", "perplexity", "perplexity")])
        self.assertNotEqual(alone, both)

    def test_a_rotated_network_is_a_checkpoint_that_other_methods_go_on_with(self):
        steps, data = ["rtn", "gptq", "boa", "aespa"], "calibration_seed: 1, samples: 8, context: 32"
        few = "aespa: {iterations: 20}"
        composed = ", ".join(f"quarot + {step}" for step in steps)
        self.run_sweep("turned", {"llama": "llama_trained"},
                       f"  - {{model: llama, method: [{composed}], bits: [W3A16, W4A16], seed: 1, quarot: {{quantize: none}}, "
                       f"{data}, {few}}}\n"
                       "  - {model: llama, method: quarot + gptq, bits: W4A4KV4, seed: 1, "
                       f"quarot: {{quantize: activations, kv_group: 8}}, {data}}}\n"
                       "  - {model: llama, method: quarot + rtn, bits: W4A4KV4, seed: 1, "
                       "quarot: {quantize: activations, kv_group: 8}, rtn: {quantize: weights}}\n")
        # One rotation for all of them.
        [(key,)] = self.rows("turned", "SELECT key FROM stage WHERE name = 'quarot.rotate'")
        artifact = next(self.folder.glob(f"store/**/{key}"), None) or next(self.folder.glob(f"store/**/{key[2:]}"))
        turned = self.folder / "llama_turned"
        turned.mkdir()
        for name in ("config.json", "model.safetensors"):
            (turned / name).write_bytes((artifact / name).read_bytes())
        rounded = "rtn: {quantize: activations, act: token, symmetric: true, kv_symmetric: true}"
        self.run_sweep("behind_turned", {"llama": "llama_turned"},
                       f"  - {{model: llama, method: [float, {', '.join(steps)}], bits: [W3A16, W4A16], {data}, {few}}}\n"
                       f"  - {{model: llama, method: rtn + gptq, bits: W4A4KV4, {rounded}, {data}}}\n")
        for step in steps:
            with self.subTest(method=step):
                figures = self.figures("turned", "llama", f"quarot + {step}")
                by_hand = self.figures("behind_turned", "llama", step)
                self.assertEqual({name: figures[name] for name in by_hand}, by_hand)
        float_figure = self.figures("first", "llama", "train")[("", "perplexity", "perplexity")]
        of_turned = self.figures("behind_turned", "llama", "float")[("", "perplexity", "perplexity")]
        self.assertAlmostEqual(of_turned / float_figure, 1, places=5)
        # A range of each head and token, as rtn rounds keys and values.
        low = ("W4A4KV4", "perplexity", "perplexity")
        self.assertEqual(self.figures("turned", "llama", "quarot + gptq")[low],
                         self.figures("behind_turned", "llama", "rtn + gptq")[low])
        self.assertNotEqual(self.figures("turned", "llama", "quarot + rtn")[low], of_turned)

    def test_what_cannot_be_rotated_is_refused_before_anything_runs(self):
        for method, rest, message in (
                ("rtn + quarot", "bits: W4A16", "quarot works on float weights"),
                ("cushioncache + quarot", "bits: W4A4, samples: 8, context: 16, cushioncache: {max_prefix: 2}", "let quarot come first"),
                ("quarot + quarot", "bits: W4A16", "stands twice"),
                ("quarot", "bits: W4A4KV4, kv_group: 3", "kv_group = 3: a head has 8 channels"),
                ("quarot", "bits: W4A8, quarot: {quantize: weights}", "no method of the trial rounds activations; write W4A16")):
            with self.subTest(method=method):
                done = self.assay("plan", str(self.sweep("unturned", {"llama": "llama_trained"},
                                                         f"  - {{model: llama, method: {method}, {rest}}}\n")))
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(message, done.stderr)

    def test_channels_are_scaled_before_anything_is_rounded(self):
        for part, bits, what in (("weights", "W4A16", "float weights"), ("activations", "W4A8", "float activations")):
            for method in ("smoothquant", "awq", "omniquant"):
                path = self.sweep("late", {"llama": "llama_trained"},
                                  f"  - {{model: llama, method: rtn + {method}, bits: {bits}, rtn: {{quantize: {part}}}}}\n")
                done = self.assay("plan", str(path))
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f"{method} works on {what}", done.stderr)
                self.assertIn(f"let {method} come first", done.stderr)

    def test_activations_that_nobody_rounds_are_refused(self):
        done = self.assay("plan", str(self.sweep("nobody", {"llama": "llama_trained"}, "  - {model: llama, method: awq, bits: W4A8}\n")))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("a_bits is 8, but no method of the trial rounds activations; write W4A16", done.stderr)

    def test_training_goes_on_from_what_was_trained(self):
        self.run_sweep("again", {"vit": VIT},
                       f"  - {{model: vit, method: train + train, seed: 1, {TRAIN}}}\n")
        self.run_sweep("go_on", {"vit": "vit_trained"},
                       f"  - {{model: vit, method: train, seed: 1, {TRAIN}}}\n")
        self.assertEqual(self.figures("again", "vit", "train + train"), self.figures("go_on", "vit", "train"))

    def test_training_after_rounding_is_refused_before_anything_runs(self):
        path = self.sweep("lost", {"vit": "vit_trained"},
                          f"  - {{model: vit, method: rtn + train, bits: W2A16, seed: 1, {TRAIN}}}\n")
        for command in (["plan", str(path)], ["run", str(path), "--out", str(self.folder / "lost")]):
            done = self.assay(*command)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("lost.yaml:9:", done.stderr)
            self.assertIn("write 'train + rtn'", done.stderr)
        self.assertFalse((self.folder / "lost").exists())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", help="not used: for the same command line as the other tests")
    options, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
