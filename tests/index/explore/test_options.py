"""What is refused before any datastore is opened, and what the server says of its port."""

from __future__ import annotations

import socket

import pytest

from index.explore.options import ExploreOptions
from index.stack_plan import parse_stack
from pipelines.command_line import parse
from pipelines.main import main
from tagmine.errors import ConfigurationError


def test_flags_become_options():
    options = parse(
        ["explore", "a=60%", "b=40%", "--shards", "x.tar", "--shards", "@y", "--port=0"]
    )
    assert isinstance(options, ExploreOptions)
    assert (options.datastores.folders, options.datastores.shares) == (("a", "b"), (0.6, 0.4))
    assert (options.shards, options.port, options.browser) == (("x.tar", "@y"), 0, True)
    assert not parse(["explore", "a", "--no-browser"]).browser
    assert parse(["explore", "a", "--clip-model", "demo"]).clip_model == "demo"


def test_a_folder_twice_and_ports_that_are_none_are_refused():
    with pytest.raises(ConfigurationError, match="given twice"):
        ExploreOptions(parse_stack(["a", "b", "./a"]))
    for port in (-1, 65536):
        with pytest.raises(ConfigurationError, match="0 to 65535"):
            ExploreOptions(parse_stack(["a"]), port=port)


def test_a_port_that_is_taken(tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["explore", str(tmp_path), "--no-browser", "--port", str(port)]) == 1
    assert f"--port {port}: it cannot be had" in capfd.readouterr().err


def test_a_folder_that_is_no_datastore(tmp_path, capfd):
    assert main(["explore", str(tmp_path), "--no-browser", "--port", "0"]) == 1
    assert "manifest.json" in capfd.readouterr().err
