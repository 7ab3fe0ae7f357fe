#!/usr/bin/env python3
"""Cold starts: the board of a run, one echo trial, the same under mpirun, beside what mpirun needs for `true`."""
import shutil

import bench


def main():
    options = bench.arguments(__doc__)
    repeat = options.repeat or 15
    with bench.scratch() as (folder, env):
        def sweep(name, value):
            file = folder / f"{name}.yaml"
            file.write_text(f"""assay: 1
name: {name}
providers: [{{command: ["{options.echo}"]}}]
models: {{nothing: {{family: echo, config: {{}}}}}}
trials: [{{model: nothing, method: {{echo: {{value: {value}}}}}}}]
evaluate: [{{metric: echo_value}}]
""")
            return file

        wide = sweep("wide", list(range(50)))
        bench.seconds([options.assay, "run", wide, "--out", folder / "wide", "--quiet"], env=env, cwd=folder)
        board, one, ranks, bare = [], [], [], []
        for i in range(repeat):
            board.append(bench.seconds([options.assay, "board", folder / "wide"], env=env, cwd=folder))
            one.append(bench.seconds([options.assay, "run", sweep(f"one{i}", 1000 + i), "--out", folder / f"one{i}", "--quiet"], env=env, cwd=folder))
            if shutil.which("mpirun"):
                launcher = ["mpirun", "--oversubscribe", "-n", 2]
                ranks.append(bench.seconds([*launcher, options.assay, "run", sweep(f"two{i}", 2000 + i), "--out", folder / f"two{i}", "--quiet"], env=env, cwd=folder))
                bare.append(bench.seconds([*launcher, "true"], env=env, cwd=folder))
    print(f"assay board:                       {1e3 * bench.median(board):7.1f} ms")
    print(f"assay run, one echo trial:         {1e3 * bench.median(one):7.1f} ms")
    if ranks:
        print(f"mpirun -n 2 assay run, one trial:  {1e3 * bench.median(ranks):7.1f} ms, mpirun -n 2 true {1e3 * bench.median(bare):.1f} ms, "
              f"difference {1e3 * (bench.median(ranks) - bench.median(bare)):.1f} ms")


if __name__ == "__main__":
    main()
