"""How much memory a checkpoint will need in Triton."""

_RATIO = 1.4
_FIXED_BYTES = 300_000


def resident_bytes(checkpoint_bytes: int) -> int:
    """Bytes of RSS that loading a checkpoint of `checkpoint_bytes` adds to Triton.

    Fitted to what NVIDIA's FIL backend was seen to need (0.5 MB for 185 KB, 1.4 MB for 1 MB, 61 MB for 45 MB), and
    treelite under jemalloc for a checkpoint as it is written here (57.1 MB for 40.9 MB). The sidecar plans with this
    number, so it is rather a little too large than too small.
    """
    return int(_RATIO * checkpoint_bytes) + _FIXED_BYTES
