#!/usr/bin/env python3
"""Weight quantizers of the papers' releases on an OPT checkpoint, on the same LibTorch: seconds of the quantization alone.

Run by releases.py with the Python of .deps/releases; RELEASE is a checkout of the release's repository.
  peer_release.py {gptq,boa,aespa} RELEASE CHECKPOINT BITS SAMPLES CONTEXT THREADS
Prints one JSON line: {"seconds": ...}. What the release prints goes to stderr.
"""
import contextlib
import json
import sys
import time
from types import SimpleNamespace

import torch


def without_cuda():
    """Calls that place tensors on a GPU or wait for one do nothing."""
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        setattr(torch.cuda, name, lambda *_, **__: None)
    torch.cuda.max_memory_allocated = lambda *_, **__: 0


def gptq(model, tokens, bits):
    import opt
    opt.args = SimpleNamespace(nsamples=len(tokens), wbits=bits, sym=False, trits=False, percdamp=0.01, groupsize=-1, act_order=False,
                               static_groups=False)
    opt.opt_sequential(model, tokens, torch.device("cpu"))


def boa(model, tokens, bits):
    from quantize import boa_fwrd
    boa_fwrd(model, tokens, {"w_bits": bits, "w_sym": False},
             {"qparam_comput": "Hessian", "block_v": True, "act_order_col": False, "act_order_row": False, "use_awq": False,
              "awq_salient_ratio": 0.01, "awq_alpha": 0.5}, {"replace": 1 / model.seqlen}, SimpleNamespace(print_memory_usage=False))


def aespa(model, tokens, bits):
    from quantize import aespa_fwrd
    aespa_fwrd(model, tokens, {"w_bits": bits, "w_sym": False},
               {"block_v": True, "use_zfold": True,
                "round_optim": {"optq_init": True, "act_order": True, "learn_rounding": True, "lr": 0.015, "round_weight": 1.0,
                                "round_weight_qkv": 1.5, "num_iters": 2000}}, {"replace": 1 / 2048, "percdamp": 0.01})


def main():
    method, release, checkpoint = sys.argv[1:4]
    bits, samples, context, threads = map(int, sys.argv[4:8])
    torch.set_num_threads(threads)
    without_cuda()
    sys.path.insert(0, release)
    from transformers import OPTForCausalLM
    model = OPTForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32, attn_implementation="eager").eval()
    model.seqlen = context
    torch.manual_seed(0)
    tokens = [(torch.randint(0, 256, (1, context)), None) for _ in range(samples)]
    run = {"gptq": gptq, "boa": boa, "aespa": aespa}[method]
    with contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        run(model, tokens, bits)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
