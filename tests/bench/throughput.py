#!/usr/bin/env python3
"""Evaluation throughput of the demo's networks on 1 and 2 slots, against timm and transformers eager on the same LibTorch.

Ours is the whole evaluation stage as a run does it (reading, normalising, forward, per-sample records), the peer a bare forward pass over
tensors that lie ready, each time at the batch size that was its best. Interleaved; medians.
"""
import json
import sqlite3
import subprocess

import bench

PEER = bench.ROOT / ".deps" / "peers" / "bin" / "python"
CASES = {
    "vit": dict(family="vit", weights="vit_fashion", data="{reader: fashion_mnist}", metric="top1", stage="evaluate.classification", counted="evaluate.classification", unit="images/s"),
    "lm": dict(family="llama", weights="llama_austen", data="{reader: austen}", metric="perplexity", stage="evaluate.language", counted="merge.language", unit="tokens/s"),
}


def evaluation_rate(options, case, slots, override):
    """Samples or tokens a second of the evaluation stages of a fresh run."""
    with bench.scratch() as (folder, env):
        file = folder / "one.yaml"
        file.write_text(f"""assay: 1
name: one
models: {{m: {{family: {case['family']}, weights: {bench.ROOT}/zoo/{case['weights']}, data: d}}}}
data: {{d: {case['data']}}}
trials: [{{model: m, method: float}}]
evaluate: [{{metric: {case['metric']}, split: test}}]
""")
        if override:
            env["ASSAY_MKL_OVERRIDE"] = "1"
        bench.seconds([options.assay, "run", file, "--jobs", slots, "--out", folder / "run", "--quiet"], env=env, cwd=bench.ROOT)
        database = sqlite3.connect(f"file:{folder}/run/results.sqlite?mode=ro", uri=True)
        spans = database.execute("SELECT started_unix_s, ended_unix_s FROM attempt JOIN stage ON stage.key = attempt.stage "
                                 "WHERE stage.name = ? AND outcome = 'done'", (case["stage"],)).fetchall()
        results = database.execute("SELECT result FROM stage WHERE name = ? AND state = 'done'", (case["counted"],)).fetchall()
        database.close()
        count = sum(json.loads(r[0])["metrics"].get("tokens", json.loads(r[0])["metrics"].get("samples", 0)) for r in results)
        wall = sum(b - a for a, b in spans) if slots == 1 else max(b for _, b in spans) - min(a for a, _ in spans)
        return count / wall


def peer_rate(kind, case, context):
    command = [PEER, bench.ROOT / "tests/bench/peer_forward.py", kind, bench.ROOT / "zoo" / case["weights"], "6"] + ([context] if kind == "lm" else [])
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    options = bench.arguments(__doc__)
    for kind, case in CASES.items():
        config = json.loads((bench.ROOT / "zoo" / case["weights"] / "config.json").read_text())
        context = str(config.get("max_position_embeddings", 0))
        ours = {1: [], 2: []}
        fast, peer = [], []
        for _ in range(options.repeat or 3):
            peer.append(peer_rate(kind, case, context))
            for slots in ours:
                ours[slots].append(evaluation_rate(options, case, slots, False))
            fast.append(evaluation_rate(options, case, 1, True))
        theirs = bench.median([p["rate"] for p in peer])
        one, two = bench.median(ours[1]), bench.median(ours[2])
        batches = ", ".join(str(p["batch"]) for p in peer)
        print(f"{case['weights']}: {one:.0f} {case['unit']} on 1 slot, {two:.0f} on 2 ({two / one:.2f}x); with the MKL override {bench.median(fast):.0f}; "
              f"peer {theirs:.0f} (best batches {batches}): ratio {one / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main()
