#!/usr/bin/env bash
# Benchmarks, each against a peer in the same run: ratios and medians, never pass or fail. Called by ./bootstrap bench.
#   run.sh [--peers] [NAME...]      NAME: overhead, plan, cold, throughput, compile, memory
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=${ASSAY_BUILD:-build/release}
peers=no; names=()
for word in "$@"; do
  case $word in
    --peers) peers=yes ;;
    overhead | plan | cold | throughput | compile | memory) names+=("$word") ;;
    *) echo "bench: unknown word '$word'; legal: --peers overhead plan cold throughput compile memory" >&2; exit 2 ;;
  esac
done
[ ${#names[@]} -gt 0 ] || names=(overhead plan cold)
[ "$peers" = no ] || case " ${names[*]} " in *" throughput "*) ;; *) names+=(throughput) ;; esac
if [[ " ${names[*]} " == *" throughput "* ]] && [ ! -e .deps/peers/stamp ]; then
  echo "bench: timm and transformers into .deps/peers (5 GB)" >&2
  python3 -m venv .deps/peers
  .deps/peers/bin/pip install -q --disable-pip-version-check --no-compile 'torch==2.15.*' timm torchvision transformers safetensors numpy
  touch .deps/peers/stamp
fi
for name in "${names[@]}"; do
  echo "== $name"
  python3 "tests/bench/$name.py" --build "$build"
done
