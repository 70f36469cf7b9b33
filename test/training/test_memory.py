"""Memory of a training process."""

import subprocess
import sys

# Large arrays come and go as in a training step; pages that come anew are counted.
PROGRAM = """
import resource, sys
import torch
from proxia_segmentation_ros.training.memory import keep_freed_memory

def count_new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        arrays = [torch.ones(4_000_000) for _ in range(4)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = count_new_pages()
assert keep_freed_memory()
count_new_pages()
print(before, count_new_pages())
"""


def test_freed_arrays_are_used_again() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    assert answer.returncode == 0, answer.stderr
    before, after = (int(word) for word in answer.stdout.split())
    assert after < before / 10
