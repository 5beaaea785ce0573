"""An independent PyTorch implementation, for parity and for speed."""
