"""Which runner is asked for what: by name, by graph where nothing may be submitted, and refused."""

from __future__ import annotations

import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import DockerEnvironment

from index.build import ShardPlan
from pipelines import embed, index, mine
from pipelines.command_line import parse
from pipelines.main import main
from pipelines.options import RunnerOptions
from pipelines.runner import _make_pipeline
from pipelines.shards import check_pin, plan_inputs
from tagmine.errors import TagmineError
from tagmine.layout import TAGGER_PIN
from tagmine.manifest import TaggerPin, write_pin

IMAGE = "registry.example/tagmine:1"
# An endpoint that is not Google's keeps Beam from asking Google whether the bucket is there.
DATAFLOW = [
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://my-bucket/tmp",
    f"--sdk_container_image={IMAGE}",
    "--dataflow_endpoint=http://localhost:9",
    "--dry_run=True",
]
# No job server can be started of it, with Java and a network or without.
FLINK = ["--runner=FlinkRunner", "--flink_job_server_jar=missing.jar"]
SPARK = ["--runner=SparkRunner", "--spark_job_server_jar=missing.jar"]
ACCELERATOR = "beam:resources:accelerator:v1"


@pytest.mark.parametrize("name", ["local", "DirectRunner"])
def test_the_local_runner_is_chosen_by_class(name):
    assert type(_make_pipeline(RunnerOptions(name)).runner) is FnApiRunner


def test_direct_runner_takes_workers_and_shows_progress(shards, tmp_path, capfd, read_folder):
    for name in ("local", "DirectRunner"):
        out = str(tmp_path / name / "store")
        assert main(["mine", f"{shards}/0000[0-3].tar", "--out", out, f"--runner={name}"]) == 0
        assert "4/4 shards" in capfd.readouterr().err
    there, here = (read_folder(tmp_path / name / "store") for name in ("DirectRunner", "local"))
    assert there == here


@pytest.fixture
def dataflow_jobs(shards, tiny_clip, tmp_path):
    """The graphs of mine, embed and index as Dataflow would get them, and their options."""
    pytest.importorskip("google.cloud.dataflow", reason="Beam's parts for Dataflow are not here")
    out = str(tmp_path / "store")
    command = ["build", f"{shards}/*.tar", "--out", out, "--clip-model", tiny_clip]
    options = parse([*command, *DATAFLOW, "--num_workers=7"])
    sources = plan_inputs(out, options.mine.inputs).sources
    asked = options.mine
    inputs = mine.tagger_inputs(asked)
    mining = mine.MineJob(out, asked.inputs.fields, inputs, "", None, asked.filters)
    embedding = embed.EmbedJob(out, tiny_clip, None, "", None, None)
    hint = embed.accelerator_hint(options.embed)
    indexing = index.IndexJob(out, "Flat", (0,), (ShardPlan(0, (0,)),), None, False, 1 << 30)

    def translate(build):
        pipeline = _make_pipeline(options.mine.runner)
        build(pipeline)
        return pipeline.run().job

    return (
        translate(lambda p: mine.build(p, sources, mining)),
        translate(lambda p: embed.build(p, sources, embedding, hint)),
        translate(lambda p: index.build(p, indexing)),
    )


def step_hints(job):
    """Resource hints of each step's environment, by the step's name."""
    components = job.proto_pipeline.components
    return {
        step.unique_name: dict(components.environments[step.environment_id].resource_hints)
        for step in components.transforms.values()
        if step.environment_id
    }


def test_dataflow_gives_a_gpu_to_workers_that_embed_only(dataflow_jobs):
    mining, embedding, indexing = dataflow_jobs
    for job, step in ((mining, "Mine shards/Mine captions"), (indexing, "Fill index shards")):
        assert step in step_hints(job)
        assert not any(step_hints(job).values())
    hinted = {name: hints for name, hints in step_hints(embedding).items() if hints}
    spec = b"type:nvidia-tesla-t4;count:1;install-nvidia-driver"
    assert "Embed shards/Embed images" in hinted
    assert all(name.startswith("Embed shards/Embed images") for name in hinted)
    assert all(hints == {ACCELERATOR: spec} for hints in hinted.values())
    for job in dataflow_jobs:
        assert job.options.get_all_options()["num_workers"] == 7
        for environment in job.proto_pipeline.components.environments.values():
            container = DockerEnvironment.from_runner_api(environment, None)
            assert container.container_image == IMAGE


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        ([], None),
        (DATAFLOW, "type:nvidia-tesla-t4;count:1;install-nvidia-driver"),
        ([*DATAFLOW, "--accelerator=type:nvidia-l4;count:1"], "type:nvidia-l4;count:1"),
        ([*DATAFLOW, "--accelerator=none"], None),
    ],
)
def test_the_accelerator_is_asked_of_dataflow_alone(flags, hint):
    assert embed.accelerator_hint(parse(["embed", "x.tar", "--out", "d", *flags])) == hint


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--runner=DataflowRunner"], "Missing required option: project"),
        (["--runner=FlinkRunner", "--accelerator=none"], "only DataflowRunner is asked for one"),
        (["--runner=SparkRunner", "--num-workers=2"], "give that runner's own option"),
        (["--runner=PortableRunner"], "add --job_endpoint=HOST:8099"),
        (["--runner=PortableRunner", "--parallelizm=2"], "Did you mean --parallelism?"),
        ([*FLINK, "--flink_mster=h:1"], "Did you mean --flink_master?"),
        (FLINK, "give its jar by --flink_job_server_jar=FILE"),
        (SPARK, "give its jar by --spark_job_server_jar=FILE"),
    ],
)
def test_what_a_runner_lacks_is_said_before_any_work(shards, tmp_path, capfd, flags, says):
    out = tmp_path / "store"
    assert main(["embed", f"{shards}/*.tar", "--out", str(out), *flags]) == 1
    printed = capfd.readouterr().err
    assert says in printed and "Traceback" not in printed and not out.exists()


def test_a_job_server_that_does_not_answer_is_one_sentence(shards, tmp_path, capfd):
    there = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--job_server_timeout=1"]
    out = tmp_path / "store"
    for more in ([], ["--number_of_execution_retries=2"]):
        assert main(["mine", f"{shards}/*.tar", "--out", str(out), *there, *more]) == 1
        printed = capfd.readouterr().err
        assert "job server of --job_endpoint=localhost:1 does not answer" in printed
        assert "Traceback" not in printed and not out.exists()


def test_a_worker_stops_without_the_folder_or_after_another_job(shards, tmp_path):
    options = parse(["mine", f"{shards}/*.tar", "--out", str(tmp_path / "store")])
    pin = mine.prepare(options)
    with pytest.raises(TagmineError, match="a worker does not see"):
        check_pin(tmp_path, TAGGER_PIN, TaggerPin, "mine", pin.maker)
    write_pin(tmp_path / TAGGER_PIN, pin)
    check_pin(tmp_path, TAGGER_PIN, TaggerPin, "mine", pin.maker)
    with pytest.raises(TagmineError, match="another job with other options"):
        check_pin(tmp_path, TAGGER_PIN, TaggerPin, "mine", "another")
