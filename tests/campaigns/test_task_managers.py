"""The campaign against task managers: what it compares, and a round of it."""

from __future__ import annotations

import json

import pytest

from campaigns.kills import write_shards
from campaigns.launched import start
from campaigns.task_managers import compare, read_results, run, stages
from engines.fetch import MissingEngineError


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A folder with a datastore and its report, as the campaign makes them."""
    work = tmp_path_factory.mktemp("local")
    commands = stages(write_shards(work / "in" / "drawn"), work / "here", [])
    for command in commands.values():
        start(command, work / "log").wait("nothing disturbs it")
    return work / "here"


def test_a_report_or_a_record_that_differs_is_seen(local, tmp_path):
    expected = read_results(local)
    log = tmp_path / "log"
    report = local / "report" / "report.json"
    true = report.read_text()
    changed = json.loads(true)
    changed["sweep"][0]["milliseconds"] += 1
    report.write_text(json.dumps(changed))
    assert read_results(local) == expected
    changed["recall"] = None
    report.write_text(json.dumps(changed))
    with pytest.raises(AssertionError, match=r"report\.json differ"):
        compare(local, expected, log)
    report.write_text(true)
    record = sorted((local / "store" / "jobs").glob("*.json"))[0]
    record.write_text(record.read_text().replace('"finished"', '"running"'))
    with pytest.raises(AssertionError, match=f"{record.name}.*running"):
        compare(local, expected, log)


@pytest.mark.engines
def test_a_round_of_the_campaign(tmp_path):
    try:
        killed = run(kills=1, seed=0, work=tmp_path)
    except MissingEngineError as error:
        pytest.skip(f"there is no Flink cluster here: {error}")
    assert set(killed) == {"mine", "embed", "index", "validate"}
    assert min(killed.values()) >= 1
