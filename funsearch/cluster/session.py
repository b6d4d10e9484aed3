"""Starts Ray on this machine, or joins a cluster. Knows nothing about what runs on it."""

import logging
import os

import ray

from funsearch.errors import FunsearchError, first_line

OBJECT_STORE_BYTES = 256 * 1024**2
"""Prompts and outcomes are small; Ray's own default would take a third of the memory."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
"""Environment variables that turn usage reports off."""


def start_ray(address: str | None) -> None:
    """Starts Ray on this machine, or joins the cluster at `address`. Does nothing if this process already has Ray.

    Raises:
        FunsearchError: Ray cannot be started, or there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    os.environ.update(QUIET)
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address=address, runtime_env={"env_vars": QUIET}, **quiet)
        else:
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"reach the Ray cluster at {address}" if address else "start Ray on this machine"
        raise FunsearchError(f"Cannot {where}: {first_line(error)}") from None
