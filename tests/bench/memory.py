#!/usr/bin/env python3
"""Memory of quantizing and evaluating random LLaMA checkpoints of rising size: what no file backs, at most, and the line through it.

Each checkpoint is written, `float`, `rtn` and `gptq` run at 4 bits in groups of 128 on a few short windows, and the folder goes away.
Takes half an hour, and 20 GB of disk at the largest size.

    tests/bench/memory.py --build build/release [--most 1e9] [--table FILE] [--figure FILE]
"""
import shutil

import bench
import memory_figure
import memory_use
import random_llama

# Width, width of the MLP, blocks.
SIZES = [(512, 1408, 8), (1024, 2816, 14), (1536, 4096, 14), (2048, 5632, 17), (3200, 8704, 26)]
STAGES = {("rtn.quantize", "rtn"): "rtn", ("gptq.quantize", "gptq"): "gptq", ("evaluate.language", "float"): "perplexity, float",
          ("evaluate.language", "rtn"): "perplexity, rtn", ("evaluate.language", "gptq"): "perplexity, gptq"}
KEPT = 512e6  # of converted weights, by default


def sweep(folder, context=128):
    text = folder / "text.txt"
    text.write_text("It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.\n" * 40)
    path = folder / "memory.yaml"
    path.write_text(f"""assay: 1
name: memory
models: {{m: {{family: llama, weights: {folder}/checkpoint, data: d}}}}
data: {{d: {{reader: text, train: {text}, test: {text}}}}}
trials:
  - {{model: m, method: float}}
  - {{model: m, method: [rtn, gptq], bits: W4A16, group: 128, rtn: {{granularity: group}}, gptq: {{samples: 8, context: {context}}}}}
evaluate: [{{metric: perplexity, split: test, context: {context}, limit: 4, chunk: 4, shards: 1}}]
""")
    return path


def measure(options, size):
    hidden, intermediate, blocks = size
    with bench.scratch() as (folder, env):
        parameters = random_llama.write_checkpoint(folder / "checkpoint", hidden, intermediate, blocks)
        command = [options.assay, "run", sweep(folder), "--jobs", 1, "--out", folder / "run", "--quiet"]
        use = memory_use.of_stages(command, folder / "run", env)
        shutil.rmtree(folder)
    unit = 4 * max(random_llama.block_parameters(hidden, intermediate), random_llama.VOCABULARY * hidden)
    return {"parameters": parameters, "blocks": blocks, "unit": unit, "stages": {STAGES[key]: use[key] for key in STAGES}}


def fit(points):
    """Least squares of y = a + b x."""
    n, mean_x, mean_y = len(points), sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if n > 1 and spread > 0 else 0.0
    return mean_y - slope * mean_x, slope


def lines(measured):
    """By stage, over the networks that are larger than what is kept of them."""
    large = [m for m in measured if 4 * m["parameters"] > 1.5 * KEPT] or measured
    return {stage: fit([(m["unit"], m["stages"][stage]["anonymous"]) for m in large]) for stage in STAGES.values()}


def table(measured):
    rows = ["| parameters | blocks | float32 weights of all / of the largest unit | " + " | ".join(STAGES.values()) + " |",
            "|---|---|---|" + "---|" * len(STAGES)]
    for m in measured:
        cells = [f"{use['anonymous'] / 1e9:.2f} ({use['peak'] / 1e9:.2f})" for use in m["stages"].values()]
        rows.append(f"| {m['parameters'] / 1e9:.2f} x 10^9 | {m['blocks']} | {4 * m['parameters'] / 1e9:.2f} / {m['unit'] / 1e9:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main():
    parser = bench.parser(__doc__)
    parser.add_argument("--most", type=float, default=4e9, help="parameters of the largest network")
    parser.add_argument("--table", help="file for the table, in Markdown")
    parser.add_argument("--figure", help="file for the figure, in SVG")
    options = bench.parsed(parser)
    measured = []
    for hidden, intermediate, blocks in SIZES:
        if sum(map(random_llama.count, random_llama.shapes(hidden, intermediate, blocks, random_llama.VOCABULARY).values())) > options.most:
            continue
        measured.append(measure(options, (hidden, intermediate, blocks)))
        last = measured[-1]
        print(f"{last['parameters'] / 1e6:.0f} M parameters: " + ", ".join(
            f"{stage} {use['anonymous'] / 1e6:.0f} MB ({use['peak'] / 1e6:.0f} with files, {use['seconds']:.0f} s)" for stage, use in last["stages"].items()), flush=True)
    fitted = lines(measured)
    for stage, (offset, slope) in fitted.items():
        print(f"{stage}: {offset / 1e6:.0f} MB + {slope:.2f} x the float32 weights of the largest unit")
    print(table(measured))
    if options.table:
        with open(options.table, "w") as file:
            file.write(table(measured) + "\n")
    if options.figure:
        with open(options.figure, "w") as file:
            file.write(memory_figure.drawn(measured, fitted))


if __name__ == "__main__":
    main()
