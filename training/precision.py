"""The number format of training: bf16 where the processor computes in it, float32 elsewhere."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """bf16 on a GPU and on a CPU that has it; losses are computed outside of it.

    A CPU without bf16 instructions emulates them: 50 times slower than float32 (AVX2 only, torch 2.13).
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
