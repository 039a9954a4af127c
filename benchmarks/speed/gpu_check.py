"""Train a few steps of the full model's shape on a GPU and compare their losses with the CPU's.

Runs on a machine with torch, numpy and scipy alone, from a checkout (nothing need be installed):

    python benchmarks/speed/gpu_check.py                 # a GPU, full widths
    python benchmarks/speed/gpu_check.py --device cpu    # a small size

``dygenept doctor --gpu`` runs the same checks where the package is installed.
"""

# ruff: noqa: E402 - the checkout goes onto the path first
from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for name, folder in (("dygenept", ROOT), ("dygenept_plugins", ROOT / "plugins")):
    if importlib.util.find_spec(name) is None:
        sys.path.insert(0, str(folder))

import torch
from step_model import build

from dygenept.model.network import DyGenePT
from dygenept.model.training.device_check import CHECKED, CHECKED_SMALL, check_device
from dygenept.model.training.synthetic import Size


def built(size: Size, is_cached: bool) -> DyGenePT:
    """Build the model at a size's first length."""
    return build(size, length=size.lengths[0], is_cached=is_cached, dtype=torch.float32)


def main() -> int:
    """Print a line per setting; return 1 if one differs from the CPU, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    device = torch.device(parser.parse_args().device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("this machine has no GPU that torch can use; try --device cpu\n")
        return 2
    size = CHECKED_SMALL if device.type == "cpu" else CHECKED
    is_ok = True
    for check in check_device(built, size, device):
        is_ok &= check.is_ok
        sys.stdout.write(
            f"{check.name:24} {'ok' if check.is_ok else 'PROBLEM':8} {check.step_ms:9.1f} ms/step "
            f"{check.tflops:9.3g} TFLOP/s, loss differs by {check.gap:.2%} of {check.tolerance:.1%}"
            " allowed\n"
        )
        sys.stdout.flush()
    return int(not is_ok)


if __name__ == "__main__":
    sys.exit(main())
