"""Memory and GPUs that jobs ask for."""

import math

from snakemake_interface_executor_plugins.settings import SharedFSUsage

# Megabytes that one photo takes while it is decoded (25 bytes per pixel: WebP takes most) and while its features are detected (236).
PIXELS = config["collection"]["max_pixels"]
DECODING = 25 * PIXELS / 1e6
SEARCHING = 236 * (config["features"]["side"] ** 2 or PIXELS) / 1e6
# Number of GPUs of a job that runs a network.
GPU = int(config["device"] == "cuda")


def memory(megabytes, at_most=math.inf, **times):
    """Memory of a job, as a function for `mem_mb`; half as much again with every further attempt (`--retries`).

    `docs/memory-and-disk.md` says where the numbers come from.

    Args:
        megabytes: what the job needs for any input.
        at_most: limit of what it needs for the sizes of its inputs, in megabytes.
        times: name of an input to the factor by which its size is multiplied.
    """

    def needed(wildcards, input, attempt):
        growing = 0 if at_most == math.inf else at_most * 1e6
        if SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage:  # otherwise the inputs are not here
            files = {name: [input[name]] if isinstance(input[name], str) else input[name] for name in times}
            size = sum(factor * os.path.getsize(path) for name, factor in times.items() for path in files[name])
            growing = min(size, at_most * 1e6)
        return int((megabytes + growing / 1e6) * 1.5 ** (attempt - 1))

    return needed
