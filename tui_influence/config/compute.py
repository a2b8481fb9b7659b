"""The schema of `[compute]`: devices, workers, and what to request from a cluster."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from tui_influence.config.types import (
    Count,
    Device,
    Line,
    PathText,
    Positive,
    SbatchOption,
    Section,
    TimeLimit,
    Word,
    parse_minutes,
    value_error,
)


class SlurmSection(Section):
    """`[compute.slurm]`: what to request from Slurm, if it is the executor."""

    partition: Word | None = Field(None, description="partition; the site's default if none", examples=["gpu"])
    account: Word | None = Field(None, description="account that is charged", examples=["my-group"])
    gpus_per_task: int = Field(0, ge=0, le=64, description="GPUs per task; each has its own workers")
    cpus_per_task: int = Field(1, ge=1, le=1024, description="cores per task")
    mem: Word | None = Field(None, description="memory per task; the site's default if none", examples=["16G"])
    warn_seconds: int = Field(
        120, ge=5, le=3600, description="seconds before a task's end from which no more models are started"
    )
    time_limit: TimeLimit = Field("4:00:00", description="longest time of a task, longer than warn_seconds")
    array_concurrency: Positive | None = Field(
        None, description="at most this many tasks at a time; unlimited if none", examples=[50]
    )
    planner_partition: Word | None = Field(
        None,
        description="partition of the planner, a short job without a GPU; by default that of the tasks",
        examples=["cpu"],
    )
    stage: PathText | None = Field(
        None, description="directory on a node's own disk that packed data are copied to", examples=["$TMPDIR"]
    )
    sbatch: list[SbatchOption] = Field(
        default_factory=list, description="further options of sbatch", examples=[["--qos=low"]]
    )
    setup: list[Line] = Field(
        default_factory=list,
        description="shell lines that run first in a task; each must succeed",
        examples=[["module load cuda"]],
    )

    @field_validator("time_limit")
    @classmethod
    def _leaves_time_to_train(cls, value: str, info: ValidationInfo) -> str:
        warn = info.data.get("warn_seconds", 0)
        if 60 * parse_minutes(value) <= warn:
            raise value_error(f"must be longer than warn_seconds, {warn} s, or no model is started")
        return value


class RaySection(Section):
    """`[compute.ray]`: what to request from Ray, if it is the executor."""

    address: Word = Field("auto", description='the head node, host:port; "auto": the cluster of this machine')
    num_gpus: float = Field(0, ge=0, le=64, description="GPUs per task")
    num_cpus: float = Field(1, gt=0, le=1024, description="cores per task")
    connect_seconds: float = Field(30, gt=0, le=600, description="how long to wait for the head node")


class ComputeSection(Section):
    """`[compute]`: where the run is trained. May change when a run is resumed: only the last bits of results differ."""

    devices: Literal["auto"] | Annotated[list[Device], Field(min_length=1)] = Field(
        "auto", description='"auto", or a list such as ["cuda:0", "cpu"]; "mps" is the GPU of a Mac'
    )
    workers_per_device: Positive | Literal["auto"] = Field(
        "auto", description="worker processes per device; auto: on CPUs, one per core if the memory suffices"
    )
    threads: int = Field(1, ge=1, le=256, description="threads per CPU worker")
    images: Literal["auto", "resident", "streamed"] = Field(
        "auto",
        description="images on the device, or read during training; auto: streamed if half its memory is too small",
    )
    attempts: Count = Field(3, ge=1, description="attempts to train a model whose worker dies")
    model_deadline: float = Field(
        20.0,
        ge=0,
        le=1e6,
        description="restart a worker after this multiple of the median time per model; 0: never",
    )
    executor: Literal["local", "slurm", "ray"] = Field("local", description="what runs the workers")
    block_minutes: float = Field(
        30,
        gt=0,
        le=10_000,
        description="slurm, ray: length of a task in minutes, long enough to make start-up time negligible",
    )
    slurm: SlurmSection = Field(default_factory=lambda: SlurmSection(), description="what to request from Slurm")
    ray: RaySection = Field(default_factory=lambda: RaySection(), description="what to request from Ray")
