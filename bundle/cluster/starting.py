"""Starting a Dask cluster, on this machine or by Slurm, or joining one that runs."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError
from ..io import format_library, scratch_folder
from .parts import Cluster, version

__all__ = ["cluster"]

logger = logging.getLogger(__name__)

HERE_ONLY = "127.0.0.1"
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
# a part is computed by one (parts.py); Dask says so by itself, but not where the user's own environment says otherwise
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
JOB = {"cores": 1, "processes": 1, "memory": "4 GiB"}  # where Dask's own settings say nothing


@contextmanager
def cluster(where: str, output: str | Path, count: int | None = None, slab: int | None = None) -> Iterator[Cluster]:
    """Workers, as long as the ``with`` lasts.

    Args:
        where: ``local`` starts processes on this machine, which nobody reaches from outside; ``slurm`` asks Slurm for
            jobs, as ``jobqueue.yaml`` of Dask says; all else is the address of a scheduler, such as
            ``tcp://10.0.0.1:8786``.
        output: folder that all workers see.
        count: of workers to start; by default as many as this machine has processors, or one job.
        slab: of :class:`Cluster`.

    Raises:
        InputError: the cluster cannot be started or reached, or runs another version of this package.
    """
    distributed = format_library("distributed", None, "--cluster", "cluster")
    if where not in ("local", "slurm"):
        _check_address(where)
    logging.getLogger("distributed").setLevel(logging.ERROR)  # a worker that is lost is no error: another goes on
    with scratch_folder(Path(output) / "cluster") as folder:
        started: Any = None
        try:
            if where == "local":
                started = _local(distributed, count)
            elif where == "slurm":
                started = _slurm(distributed, folder, count)
            client = distributed.Client(started or where, timeout="30s", set_as_default=False)
        except InputError:
            raise
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            if started is not None:
                started.close()
            raise InputError(None, f"no cluster at {where} ({error})", "see docs/guides/cluster.md") from error
        try:
            _check_versions(client)
            logger.info("cluster: %s, dashboard %s", _described(client, where), client.dashboard_link)
            yield Cluster(client, folder, slab)
        finally:
            client.close()
            if started is not None:
                started.close()


def _check_address(where: str) -> None:
    """Refuse what is no address before Dask waits for it."""
    try:
        address = urlsplit(where if "://" in where else f"tcp://{where}")
        known = address.scheme in SCHEMES and address.hostname and address.port
    except ValueError:  # of the port
        known = False
    if not known:
        problem = f"no cluster at {where}, which is no address"
        raise InputError(None, problem, "say local, slurm, or the scheduler's address, such as tcp://10.0.0.1:8786")


def _local(distributed: Any, count: int | None) -> Any:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return distributed.LocalCluster(
        n_workers=count or processors,
        threads_per_worker=1,
        host=HERE_ONLY,
        dashboard_address=f"{HERE_ONLY}:0",
        security=distributed.Security.temporary(),
        silence_logs=logging.ERROR,
        env={"TQDM_DISABLE": "1", **ONE_THREAD},
        preload=["bundle.cluster.undisturbed"],
    )


def _slurm(distributed: Any, folder: Path, count: int | None) -> Any:
    jobqueue = format_library("dask_jobqueue", None, "--cluster slurm", "cluster")
    from dask import config

    # what a job says goes with the run, and litters no working folder
    job = {**JOB, "log-directory": str(folder)}
    unsaid = {name: value for name, value in job.items() if config.get(f"jobqueue.slurm.{name}", None) is None}
    unsaid = {name.replace("-", "_"): value for name, value in unsaid.items()}
    security = _keys(distributed, folder)
    options = {"dashboard_address": ":0"}
    started = jobqueue.SLURMCluster(security=security, scheduler_options=options, **unsaid)
    try:
        _check_job(started.job_script(), folder)
    except InputError:
        started.close()
        raise
    # so many at any time: a job whose time is up is followed by another
    started.adapt(minimum=count or 1, maximum=count or 1)
    return started


def _keys(distributed: Any, folder: Path) -> Any:
    """Keys of this run alone, in files that its jobs read, and nobody else may."""
    made = distributed.Security.temporary()
    files = {}
    for name in ("ca_file", "client_cert", "client_key"):
        files[name] = folder / f"{name}.pem"
        files[name].write_text(getattr(made, f"tls_{name}"), encoding="utf-8")
    of_all = {
        f"tls_{who}_{what}": str(files[f"client_{what}"])
        for who in ("scheduler", "worker", "client")
        for what in ("cert", "key")
    }
    return distributed.Security(tls_ca_file=str(files["ca_file"]), require_encryption=True, **of_all)


def _check_job(script: str, folder: Path) -> None:
    """Let Slurm say whether it would take a job, since later nobody hears it."""
    file = folder / "job.sh"
    file.write_text(script, encoding="utf-8")
    try:
        said = subprocess.run(["sbatch", "--test-only", str(file)], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InputError(None, "Slurm is not installed here (no sbatch)", "say --cluster local") from error
    if said.returncode:
        problem = f"Slurm refuses the jobs ({(said.stderr.strip() or f'status {said.returncode}').splitlines()[-1]})"
        raise InputError(None, problem, "state them in jobqueue.yaml, see docs/guides/cluster.md")


def _check_versions(client: Any) -> None:
    """Refuse workers that would compute with another program than this.

    Those that come later, as jobs of Slurm do, are asked with every part.
    """
    try:
        found = set(client.run(version).values())
    except Exception as error:
        problem = f"the cluster's workers cannot load this package ({error})"
        raise InputError(None, problem, "install the same version for them") from error
    if found - {version()}:
        problem = f"the cluster's workers have the versions {', '.join(sorted(found))}, and here is {version()}"
        raise InputError(None, problem, "install the same for all")


def _described(client: Any, where: str) -> str:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    threads = sum(worker["nthreads"] for worker in workers.values())
    if not workers:
        return f"{where}, no worker yet"
    return f"{where}, {len(workers)} worker{'s' * (len(workers) > 1)} of {threads} thread{'s' * (threads > 1)} in all"
