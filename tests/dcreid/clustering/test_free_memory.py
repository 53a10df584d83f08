"""Free memory as Linux and PyTorch state it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from dcreid.clustering import free_memory
from dcreid.clustering.free_memory import free_bytes, host_free_bytes

KIB = 1024


def system(root: Path, **files: str) -> Path:
    """A root directory with these files; __ in a name stands for /."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       9000 kB\nMemFree:         100 kB\nMemAvailable:   4000 kB\nHugePages_Total:  0\n"
V2 = {"proc__self__cgroup": "0::/job/trial\n", "proc__meminfo": MEMINFO}
V1 = {"proc__self__cgroup": "3:cpu:/x\n4:memory,pids:/job\n1:name=systemd:/y\n", "proc__meminfo": MEMINFO}


def test_available_memory_is_the_hosts_without_limits(tmp_path: Path):
    assert host_free_bytes(system(tmp_path, proc__meminfo=MEMINFO)) == 4000 * KIB


def test_unknown_is_infinite(tmp_path: Path):
    assert host_free_bytes(tmp_path) == math.inf
    assert host_free_bytes(system(tmp_path, proc__meminfo="MemTotal: 9000 kB\n")) == math.inf
    assert free_bytes(torch.device("meta")) == math.inf


@pytest.mark.parametrize("where", ["", "job/", "job/trial/"])
def test_a_limit_of_version_2_counts_wherever_it_is_set(tmp_path: Path, where: str):
    folder = "sys__fs__cgroup__" + where.replace("/", "__")
    files = {f"{folder}memory.max": "3000000\n", f"{folder}memory.current": "1000000\n"}
    assert host_free_bytes(system(tmp_path, **V2, **files)) == 2_000_000
    # Cached files are given back where memory is needed.
    stat = {f"{folder}memory.stat": "anon 5\ninactive_file 400000\nactive_file 7\n"}
    assert host_free_bytes(system(tmp_path, **stat)) == 2_400_000


def test_without_a_limit_of_version_2_the_host_counts(tmp_path: Path):
    folder = "sys__fs__cgroup__job__trial__memory."
    files = {f"{folder}max": "max\n", f"{folder}current": "1000000\n"}
    assert host_free_bytes(system(tmp_path, **V2, **files)) == 4000 * KIB


@pytest.mark.parametrize("where", ["", "job/"])
def test_a_limit_of_version_1(tmp_path: Path, where: str):
    folder = "sys__fs__cgroup__memory__" + where.replace("/", "__") + "memory."
    files = {f"{folder}limit_in_bytes": "3000000\n", f"{folder}usage_in_bytes": "1000000\n"}
    files[f"{folder}stat"] = "cache 9\ntotal_inactive_file 500000\n"
    assert host_free_bytes(system(tmp_path, **V1, **files)) == 2_500_000


def test_a_limit_above_what_the_host_has_does_not_matter(tmp_path: Path):
    folder = "sys__fs__cgroup__memory__memory."
    files = {f"{folder}limit_in_bytes": str(2**63 - 4096), f"{folder}usage_in_bytes": "1000000\n"}
    assert host_free_bytes(system(tmp_path, **V1, **files)) == 4000 * KIB


def test_the_cpu_has_the_hosts_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(free_memory, "host_free_bytes", lambda: 7.0)
    assert free_bytes(torch.device("cpu")) == 7.0


def test_cuda_has_what_the_driver_and_pytorchs_cache_have(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert free_bytes(torch.device("cuda")) == 1300


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="not Linux")
def test_this_machine_has_some():
    assert 0 < host_free_bytes() < math.inf


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_what_is_allocated_on_a_gpu_is_not_free_until_it_is_deleted():
    device = torch.device("cuda")
    before = free_bytes(device)
    kept = torch.empty(1 << 28, dtype=torch.uint8, device=device)
    assert before - free_bytes(device) == pytest.approx(1 << 28, rel=0.1)
    del kept  # PyTorch keeps it, for us
    assert free_bytes(device) == pytest.approx(before, rel=0.01)
