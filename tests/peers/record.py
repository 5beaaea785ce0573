"""Writes the PyTorch peer's numbers, for `test_recorded_parity`.

  python -m tests.peers.record
"""

import numpy as np
import torch

from tests.peers import cases
from tests.peers import theirs


def main() -> None:
  """Rewrites all files."""
  torch.set_num_threads(1)
  for name in cases.RECORDED:
    path = cases.recorded_path(name)
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, torch_version=str(torch.__version__),
                        **theirs.numbers(theirs.make(name)))


if __name__ == '__main__':
  main()
