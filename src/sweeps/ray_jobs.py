"""Jobs of a sweep on a ray cluster, or on this machine by ray: a Hydra launcher (why our own: docs/sweeps.md)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from src.utils.errors import InputError, first_line


class RayJobs(Launcher):
    """A ray task for each job, in a process of its own; ray says which GPUs it has.

    Args:
        init: options of ray.init, such as address or num_cpus.
        remote: options of a task, such as num_cpus; num_gpus=auto: 1 where the cluster has any, else 0.
    """

    def __init__(self, init: Mapping[str, Any], remote: Mapping[str, Any]) -> None:
        self.init: Any = OmegaConf.to_container(OmegaConf.create(dict(init)), resolve=True)
        self.remote: Any = OmegaConf.to_container(OmegaConf.create(dict(remote)), resolve=True)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Every job's return, in order; one whose process died is FAILED, and the others continue.

        Raises InputError where ray is not installed or no cluster answers.
        """
        try:
            import ray
        except ImportError as error:
            raise InputError("hydra/launcher=ray needs ray: pip install -e '.[ray]'") from error

        setup_globals()
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        started = not ray.is_initialized()
        if started:
            try:
                ray.init(**self.init)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise InputError(f"hydra.launcher.init: ray did not start ({first_line(error)})") from error
        try:
            options = dict(self.remote)
            if options.get("num_gpus") == "auto":
                options["num_gpus"] = 1 if ray.cluster_resources().get("GPU") else 0
            # A process for each job, and each job once: what it leaves would be in the way of a second try.
            task = ray.remote(max_calls=1, max_retries=0, **options)(run)
            state = ray.put((self.hydra_context, self.task_function, self.config, Singleton.get_state()))
            jobs = [task.remote(state, list(own), initial_job_idx + i) for i, own in enumerate(job_overrides)]
            return [_ended(ray, job) for job in jobs]
        finally:
            if started:
                ray.shutdown()


def run(state: tuple, overrides: list[str], number: int) -> JobReturn:
    """One job, in a process of ray's."""
    hydra_context, task_function, config, singletons = state
    setup_globals()
    Singleton.set_state(singletons)
    job = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id = f"{job.hydra.job.name}_{number}"
        job.hydra.job.num = number
    HydraConfig.instance().set_config(job)
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=job,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _ended(ray: Any, job: Any) -> JobReturn:
    try:
        return ray.get(job)
    except ray.exceptions.RayError as error:
        ended = JobReturn(status=JobStatus.FAILED)
        ended.return_value = error
        return ended
