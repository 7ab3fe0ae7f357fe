#!/usr/bin/env python3
"""The divergence from the float model against both forward passes written out in Python's float64: the language models of zoo/, rounded.

    tests/e2e/divergence_test.py --assay build/dev/bin/assay
"""
import argparse
import json
import math
import operator
import os
import sqlite3
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from checkpoints import decoded, floats, read_safetensors

options = None
ZOO = Path(__file__).resolve().parents[2] / "zoo"
CONTEXT = 24
WINDOWS = 4
TEXT = ("It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. "
        "However little known the feelings or views of such a man may be on his first entering a neighbourhood.\n")
FIGURES = ["kld_mean", "kld_p99", "kld_p999", "kld_max", "top1_agreement", "delta_p_rms", "ln_ppl_ratio"]


# --- networks by hand

class Weights:
    """Matrices as lists of rows, vectors as lists."""

    def __init__(self, tensors, prefix):
        self.tensors, self.prefix, self.read = tensors, prefix, {}

    def __getitem__(self, name):
        if name not in self.read:
            shape, values = self.tensors[self.prefix + name][1], floats(self.tensors[self.prefix + name])
            self.read[name] = values if len(shape) == 1 else [values[i:i + shape[1]] for i in range(0, len(values), shape[1])]
        return self.read[name]

    def linear(self, name, x, bias):
        y = [sum(map(operator.mul, row, x)) for row in self[name + ".weight"]]
        return add(y, self[name + ".bias"]) if bias else y


def add(a, b):
    return list(map(operator.add, a, b))


def rms_norm(x, weight, eps):
    scale = 1 / math.sqrt(sum(v * v for v in x) / len(x) + eps)
    return [v * scale * w for v, w in zip(x, weight)]


def layer_norm(x, weight, bias, eps=1e-5):
    mean = sum(x) / len(x)
    scale = 1 / math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + eps)
    return [(v - mean) * scale * w + b for v, w, b in zip(x, weight, bias)]


def rotated(head, position, base=10000.0):
    half = len(head) // 2
    angles = [position * base ** (-i / half) for i in range(half)]
    return [head[i] * math.cos(a) - head[i + half] * math.sin(a) for i, a in enumerate(angles)] + \
           [head[i + half] * math.cos(a) + head[i] * math.sin(a) for i, a in enumerate(angles)]


def softmax(values):
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    total = sum(powers)
    return [p / total for p in powers]


def attention(queries, keys, values, heads, kv_heads):
    """Causal, of rows [T][heads * d]; queries and keys are heads of T rows."""
    size = len(queries[0][0])
    mixed = []
    for t in range(len(values)):
        row = []
        for h in range(heads):
            kv = h * kv_heads // heads
            weights = softmax([sum(map(operator.mul, queries[h][t], keys[kv][s])) / math.sqrt(size) for s in range(t + 1)])
            row += [sum(weights[s] * values[s][kv * size + i] for s in range(t + 1)) for i in range(size)]
        mixed.append(row)
    return mixed


def heads_of(rows, count, turn=lambda head, position: head):
    size = len(rows[0]) // count
    return [[turn(row[h * size:(h + 1) * size], t) for t, row in enumerate(rows)] for h in range(count)]


def llama_logits(tensors, config, ids):
    w = Weights(tensors, "model.")
    heads, kv_heads, eps = config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]
    x = [list(w["embed_tokens.weight"][i]) for i in ids]
    for n in range(config["num_hidden_layers"]):
        p = f"layers.{n}."
        normed = [rms_norm(row, w[p + "input_layernorm.weight"], eps) for row in x]
        q, k, v = ([w.linear(f"{p}self_attn.{name}_proj", row, False) for row in normed] for name in "qkv")
        mixed = attention(heads_of(q, heads, rotated), heads_of(k, kv_heads, rotated), v, heads, kv_heads)
        x = [add(row, w.linear(p + "self_attn.o_proj", m, False)) for row, m in zip(x, mixed)]
        for t, row in enumerate(x):
            u = rms_norm(row, w[p + "post_attention_layernorm.weight"], eps)
            gate, up = (w.linear(f"{p}mlp.{name}_proj", u, False) for name in ("gate", "up"))
            inner = [g / (1 + math.exp(-g)) * a for g, a in zip(gate, up)]
            x[t] = add(row, w.linear(p + "mlp.down_proj", inner, False))
    return [w.linear("embed_tokens", rms_norm(row, w["norm.weight"], eps), False) for row in x]


def opt_logits(tensors, config, ids):
    w = Weights(tensors, "model.decoder.")
    heads = config["num_attention_heads"]

    def norm(name, row):
        return layer_norm(row, w[name + ".weight"], w[name + ".bias"])

    x = [add(w["embed_tokens.weight"][i], w["embed_positions.weight"][t + 2]) for t, i in enumerate(ids)]
    for n in range(config["num_hidden_layers"]):
        p = f"layers.{n}."
        normed = [norm(p + "self_attn_layer_norm", row) for row in x]
        q, k, v = ([w.linear(f"{p}self_attn.{name}_proj", row, True) for row in normed] for name in "qkv")
        mixed = attention(heads_of(q, heads), heads_of(k, heads), v, heads, heads)
        x = [add(row, w.linear(p + "self_attn.out_proj", m, True)) for row, m in zip(x, mixed)]
        for t, row in enumerate(x):
            inner = [max(0.0, v) for v in w.linear(p + "fc1", norm(p + "final_layer_norm", row), True)]
            x[t] = add(row, w.linear(p + "fc2", inner, True))
    return [w.linear("embed_tokens", norm("final_layer_norm", row), False) for row in x]


LOGITS = {"llama_austen": llama_logits, "opt_austen": opt_logits}


# --- figures by hand

def log_softmax(logits):
    top = max(logits)
    total = math.log(sum(math.exp(v - top) for v in logits)) + top
    return [v - total for v in logits]


def quantile(values, q):
    at = q * (len(values) - 1)
    below = math.floor(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (at - below) * (values[above] - values[below])


def figures_by_hand(model, rounded, windows):
    """The figures of a network from the float model, and the divergence of every position."""
    config = json.loads((ZOO / model / "config.json").read_text())
    tensors = read_safetensors(ZOO / model / "model.safetensors")
    other = {**tensors, **{name: (*tensors[name][:2], raw) for name, raw in rounded.items()}}
    klds, same, squares, ratios, entropies = [], 0, 0.0, [], []
    for ids in windows:
        p_logits, q_logits = (LOGITS[model](each, config, ids) for each in (tensors, other))
        ratio = 0.0
        for t in range(1, len(ids)):
            p, q = log_softmax(p_logits[t - 1]), log_softmax(q_logits[t - 1])
            klds.append(sum(math.exp(a) * (a - b) for a, b in zip(p, q)))
            entropies.append(-sum(math.exp(a) * a for a in p))
            same += max(range(len(p)), key=p.__getitem__) == max(range(len(q)), key=q.__getitem__)
            squares += (math.exp(p[ids[t]]) - math.exp(q[ids[t]])) ** 2
            ratio += p[ids[t]] - q[ids[t]]
        ratios.append(ratio / (len(ids) - 1))
    count, ordered = len(klds), sorted(klds)
    return {"kld_mean": sum(klds) / count, "kld_p99": quantile(ordered, 0.99), "kld_p999": quantile(ordered, 0.999),
            "kld_max": ordered[-1], "top1_agreement": 100 * same / count, "delta_p_rms": math.sqrt(squares / count),
            "ln_ppl_ratio": sum(ratios) / len(ratios)}, klds, entropies


class DivergenceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="assay-divergence-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = Path(cls.temporary.name)
        cls.environment = {**os.environ, "ASSAY_STORE": str(cls.folder / "store"), "XDG_CACHE_HOME": str(cls.folder / "cache")}
        (cls.folder / "text.txt").write_text(TEXT)
        cls.models = {name: f"{{family: {name.split('_')[0]}, weights: {ZOO / name}, data: text}}" for name in LOGITS}
        for shards in (1, 4):
            cls.run_sweep(f"shards{shards}", shards)

    @classmethod
    def sweep(cls, name, models, trials, shards=4):
        path = cls.folder / f"{name}.yaml"
        entries = "".join(f"  {model}: {entry}\n" for model, entry in models.items())
        path.write_text(f"assay: 1\nname: {name}\nmodels:\n{entries}data:\n  text: {{reader: text, train: text.txt, test: text.txt}}\n"
                        f"trials:\n{trials}evaluate:\n"
                        f"  - {{metric: perplexity, context: {CONTEXT}, limit: {WINDOWS}, chunk: 1}}\n"
                        f"  - {{metric: kl_divergence, context: {CONTEXT}, limit: {WINDOWS}, chunk: 1, shards: {shards}}}\n")
        return path

    @classmethod
    def assay(cls, *arguments):
        return subprocess.run([str(Path(options.assay).resolve()), *map(str, arguments)], env=cls.environment, cwd=cls.folder, text=True,
                              capture_output=True, timeout=300, stdin=subprocess.DEVNULL)

    @classmethod
    def run_sweep(cls, name, shards):
        sweep = cls.sweep(name, cls.models, f"  - {{model: [{', '.join(cls.models)}], method: [float, rtn], bits: [W3A16, W4A16]}}\n", shards)
        done = cls.assay("run", sweep, "--out", cls.folder / name, "--jobs", "2")
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @classmethod
    def rows(cls, run, query):
        with sqlite3.connect(f"file:{cls.folder / run}/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    @classmethod
    def figures(cls, run, model, method, bits="", metric="kl_divergence"):
        return dict(cls.rows(run, f"SELECT name, value FROM leaderboard WHERE metric = '{metric}' AND model = '{model}' AND "
                                  f"method = '{method}' AND bits = '{bits}'"))

    @classmethod
    def samples(cls, run, model, method, bits=""):
        stage = cls.rows(run, f"SELECT DISTINCT stage FROM leaderboard WHERE metric = 'kl_divergence' AND model = '{model}' AND "
                              f"method = '{method}' AND bits = '{bits}'")[0][0]
        return cls.folder / run / "samples" / f"{stage}.safetensors"

    def test_the_float_trial_is_its_own_float_model(self):
        for model in self.models:
            figures = self.figures("shards4", model, "float")
            self.assertEqual(figures, {**dict.fromkeys(FIGURES, 0.0), "top1_agreement": 100.0})
            klds = read_safetensors(self.samples("shards4", model, "float"))["token_kld"]
            self.assertEqual(klds[:2], ("F64", [WINDOWS * (CONTEXT - 1)]))
            self.assertEqual(set(struct.unpack(f"<{klds[1][0]}d", klds[2])), {0.0})

    def test_figures_are_those_of_both_networks_written_out(self):
        text = TEXT.encode()
        windows = [list(text[i * CONTEXT:(i + 1) * CONTEXT]) for i in range(WINDOWS)]
        for model in self.models:
            key = self.rows("shards4", f"SELECT network_stage FROM trial WHERE model = '{model}' AND bits = 'W3A16'")[0][0]
            artifact = next(self.folder.glob(f"store/**/{key}"), None) or next(self.folder.glob(f"store/**/{key[2:]}"))
            rounded = decoded(artifact)
            self.assertGreaterEqual(len(rounded), 24)
            expected, klds, entropies = figures_by_hand(model, rounded, windows)
            found = self.figures("shards4", model, "rtn", "W3A16")
            self.assertEqual(set(found), set(FIGURES))
            for name in FIGURES:
                with self.subTest(model=model, figure=name):
                    # Networks are float32 in Assay.
                    self.assertAlmostEqual(found[name], expected[name], delta=2e-5 * max(1, abs(expected[name])))
            self.assertGreater(found["kld_mean"], 0.01)
            self.assertLess(found["top1_agreement"], 100)
            samples = read_safetensors(self.samples("shards4", model, "rtn", "W3A16"))
            for a, b in zip(struct.unpack(f"<{len(klds)}d", samples["token_kld"][2]), klds):
                self.assertAlmostEqual(a, b, delta=2e-5 * max(1, b))
            for a, b in zip(floats(samples["token_entropy"]), entropies):
                self.assertAlmostEqual(a, b, delta=1e-4)
            # More bits are nearer, and the ratio is that of the two perplexities.
            self.assertLess(self.figures("shards4", model, "rtn", "W4A16")["kld_mean"], found["kld_mean"])
            rtn, base = (self.figures("shards4", model, *trial, metric="perplexity")["nll"] for trial in (("rtn", "W3A16"), ("float",)))
            self.assertAlmostEqual(found["ln_ppl_ratio"], rtn - base, delta=1e-9)

    def test_shards_move_no_bit(self):
        for model in self.models:
            for trial in (("float",), ("rtn", "W3A16"), ("rtn", "W4A16")):
                self.assertEqual(self.figures("shards1", model, *trial), self.figures("shards4", model, *trial))
                self.assertEqual(self.samples("shards1", model, *trial).read_bytes(), self.samples("shards4", model, *trial).read_bytes())

    def test_the_float_model_is_computed_once_for_all_trials_and_then_dropped(self):
        for run, shards in (("shards1", 1), ("shards4", 4)):
            keys = self.rows(run, "SELECT key FROM stage WHERE name = 'float_states'")
            self.assertEqual(len(keys), shards * len(self.models))
            attempts = self.rows(run, "SELECT count(*) FROM attempt JOIN stage ON attempt.stage = stage.key WHERE name = 'float_states'")
            self.assertEqual(attempts, [(len(keys),)])
            for (key,) in keys:
                self.assertEqual([path for name in (key, key[2:]) for path in self.folder.glob(f"store/**/{name}")], [])

    def test_trials_are_compared_in_pairs_and_shown_by_position_and_entropy(self):
        ids = dict(self.rows("shards4", "SELECT bits, id FROM trial WHERE model = 'opt_austen' AND method = 'rtn'"))
        compared = self.assay("compare", ids["W3A16"], ids["W4A16"], "--run", self.folder / "shards4", "--format", "json")
        self.assertEqual(compared.returncode, 0, compared.stderr)
        rows = {row["value"].split()[0]: row for table in json.loads(compared.stdout) for row in table["rows"]}
        left, right = (self.figures("shards4", "opt_austen", "rtn", bits) for bits in ("W3A16", "W4A16"))
        for name in ("kld_mean", "top1_agreement", "ln_ppl_ratio"):
            self.assertAlmostEqual(rows[name]["A - B"], left[name] - right[name], delta=1e-9)
            self.assertLessEqual(rows[name]["low"], rows[name]["A - B"])
            self.assertLessEqual(rows[name]["A - B"], rows[name]["high"])
        shown = self.assay("show", ids["W3A16"], "--run", self.folder / "shards4", "--format", "json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        series = next(table for table in json.loads(shown.stdout) if table["title"] == "Series")["rows"]
        points = {row["series"]: row["points"] for row in series}
        self.assertEqual(points, {"kld_by_position": 10, "kld_by_entropy": 10, "entropy_by_entropy": 10})

    def test_a_model_without_weights_is_refused_before_anything_runs(self):
        sweep = self.sweep("untrained", {"tiny": "{family: llama, config: {vocab_size: 256, hidden_size: 16, intermediate_size: 32, "
                                                 "num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, "
                                                 "max_position_embeddings: 32, rms_norm_eps: 1.0e-5, tie_word_embeddings: true}, data: text}"},
                           "  - {model: tiny, method: train + rtn, bits: [W4A16, W3A16], seed: 1, train: {steps: 2}}\n")
        planned = self.assay("plan", sweep)
        self.assertEqual(planned.returncode, 2, planned.stdout)
        self.assertIn("untrained.yaml:11:5: metric 'kl_divergence': float_states computes the model as it came, before any method, and it "
                      "came without weights; save the trained network and name that folder as 'weights'", planned.stderr)
        self.assertNotIn("train it first", planned.stderr)

    def test_what_the_text_or_the_context_forbid_is_refused_before_anything_runs(self):
        sweep = self.sweep("longer", self.models, "  - {model: opt_austen, method: float}\n")
        planned = self.assay("plan", sweep, "--set", "evaluate.1.context=129")
        self.assertEqual(planned.returncode, 2, planned.stdout)
        self.assertIn("metric 'kl_divergence': context 129; the network takes at most 128 tokens", planned.stderr)


def main():
    global options
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assay", required=True)
    parser.add_argument("--provider")
    options, rest = parser.parse_known_args()
    if not os.environ.get("ASSAY_EXEC") and not (Path(options.assay).resolve().parent / "assay-exec").exists():
        print("no assay-exec: nothing computes a divergence")
        return 77
    return 0 if unittest.main(argv=[sys.argv[0], *rest], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
