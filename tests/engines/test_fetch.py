"""A file that is not what its pin says is found, and the jar of jars has what each held."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from engines import fetch as engine

PINS = Path(engine.__file__).parent / "pins"


def write_jar(path, members):
    with zipfile.ZipFile(path, "w") as jar:
        for name, content in members.items():
            jar.writestr(name, content)


@pytest.fixture
def pinned(tmp_path, monkeypatch):
    """A folder of two jars and their pins."""
    folder, pins = tmp_path / "flink", tmp_path / "pins"
    folder.mkdir()
    pins.mkdir()
    monkeypatch.setattr(engine, "_PINS", pins)
    lines = []
    for name in ("a.jar", "b.jar"):
        (folder / name).write_bytes(name.encode())
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    (pins / "flink.sha256").write_text("".join(lines))
    return folder


def test_altered_missing_and_added_files_are_named(pinned):
    assert engine._differences("flink", pinned) == ""
    (pinned / "a.jar").write_bytes(b"other")
    (pinned / "b.jar").unlink()
    (pinned / "c.jar").write_bytes(b"new")
    assert engine._differences("flink", pinned) == "a.jar, b.jar, c.jar"


def test_a_cache_that_is_whole_is_kept_and_a_damaged_one_replaced(pinned, monkeypatch):
    monkeypatch.setenv("TAGMINE_ENGINES", str(pinned.parent))
    monkeypatch.setattr(engine, "_NEEDS", {"flink": ()})
    fetched = []

    def make(folder, scratch):
        fetched.append(folder)
        (folder / "a.jar").write_bytes(b"a.jar")
        (folder / "b.jar").write_bytes(b"b.jar" if len(fetched) == 1 else b"forged")

    monkeypatch.setitem(engine._FETCHERS, "flink", make)
    assert engine.fetch("flink") == pinned and not fetched
    (pinned / "b.jar").write_bytes(b"damaged")
    assert engine.fetch("flink") == pinned and len(fetched) == 1
    (pinned / "b.jar").write_bytes(b"damaged")
    with pytest.raises(engine.EngineError, match=r"not what engines/pins says: b\.jar"):
        engine.fetch("flink")
    assert not pinned.exists()


def test_a_tool_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(engine.MissingEngineError, match="java and mvn, which is not installed"):
        engine.fetch("beam-flink")


def test_jars_are_merged_with_their_services(tmp_path):
    service = "META-INF/services/org.example.Service"
    write_jar(tmp_path / "a.jar", {service: "One", "x/A.class": b"1", "META-INF/K.SF": b"s"})
    write_jar(tmp_path / "b.jar", {service: "Two", "x/A.class": b"2", "x/B.class": b"3"})
    engine._merge_jars(tmp_path, "org.example.Main")
    with zipfile.ZipFile(tmp_path / engine.JOB_SERVER_JAR) as jar:
        assert jar.read(service).split() == [b"One", b"Two"]
        assert jar.read("x/A.class") == b"1" and jar.read("x/B.class") == b"3"
        assert "META-INF/K.SF" not in jar.namelist()


@pytest.fixture
def job_server(tmp_path, monkeypatch):
    """A cached job server of one jar, and its merged jar."""
    folder, pins = tmp_path / "beam-flink", tmp_path / "pins"
    folder.mkdir()
    pins.mkdir()
    write_jar(folder / "a.jar", {"x/A.class": b"1", "x/": b""})
    digest = hashlib.sha256((folder / "a.jar").read_bytes()).hexdigest()
    (pins / "beam-flink.sha256").write_text(f"{digest}  a.jar\n")
    monkeypatch.setattr(engine, "_PINS", pins)
    monkeypatch.setattr(engine, "_NEEDS", {"beam-flink": ()})
    monkeypatch.setenv("TAGMINE_ENGINES", str(tmp_path))
    assert engine.fetch("beam-flink") == folder
    return folder / engine.JOB_SERVER_JAR


def test_the_merged_jar_has_the_same_bytes_at_any_time(job_server, monkeypatch):
    before = job_server.read_bytes()
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    job_server.unlink()
    engine.fetch("beam-flink")
    assert job_server.read_bytes() == before


@pytest.mark.parametrize("damage", ["altered", "missing", "unrecorded"])
def test_a_merged_jar_that_is_damaged_is_made_again(job_server, damage):
    whole, record = job_server.read_bytes(), job_server.with_name("job-server.jar.sha256")
    recorded = record.read_text()
    if damage == "altered":
        job_server.write_bytes(whole[:-30] + b"forged")
    else:
        (job_server if damage == "missing" else record).unlink()
    engine.fetch("beam-flink")
    assert job_server.read_bytes() == whole and record.read_text() == recorded
    # One that is whole is left as it is.
    inode = job_server.stat().st_ino
    engine.fetch("beam-flink")
    assert job_server.stat().st_ino == inode


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go here")
@pytest.mark.parametrize("content", [None, b"no program of Go"])
def test_a_prism_that_is_missing_or_broken_is_fetched_anew(tmp_path, monkeypatch, content):
    monkeypatch.setenv("TAGMINE_ENGINES", str(tmp_path))
    folder = tmp_path / "prism"
    folder.mkdir()
    if content is not None:
        (folder / "prism").write_bytes(content)
    fetched = []
    monkeypatch.setitem(engine._FETCHERS, "prism", lambda *folders: fetched.append(folders))
    with pytest.raises(engine.EngineError, match="prism is not what engines/pins says"):
        engine.fetch("prism")
    assert len(fetched) == 1


def test_an_engine_that_cannot_be_had_is_left_out_in_a_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["fetch", "beam-flink", "prism"])
    assert engine.main() == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "beam-flink is left out: beam-flink needs java and mvn, which is not installed",
        "prism is left out: prism needs go, which is not installed",
    ]


def test_an_engine_that_is_not_as_pinned_ends_in_a_sentence(pinned, monkeypatch, capsys):
    monkeypatch.setenv("TAGMINE_ENGINES", str(pinned.parent))
    monkeypatch.setattr(engine, "_NEEDS", {"flink": ()})
    monkeypatch.setitem(engine._FETCHERS, "flink", lambda *folders: None)
    (pinned / "a.jar").unlink()
    monkeypatch.setattr(sys, "argv", ["fetch", "flink"])
    assert engine.main() == 1
    assert "engines.fetch: flink is not what engines/pins says" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("javac") is None, reason="there is no javac here")
def test_java_starts_the_merged_jar(tmp_path):
    (tmp_path / "Main.java").write_text(
        "public class Main { public static void main(String[] a) throws Exception {"
        'var f = java.util.Collections.class.getDeclaredField("EMPTY_LIST");'
        "f.setAccessible(true);"
        'Class.forName("java.util.Collections$EmptyList").getDeclaredConstructors()[0]'
        '.setAccessible(true); System.out.print("opened"); } }'
    )
    subprocess.run(["javac", "Main.java"], cwd=tmp_path, check=True)
    write_jar(tmp_path / "a.jar", {"Main.class": (tmp_path / "Main.class").read_bytes()})
    engine._merge_jars(tmp_path, "Main")
    jar = tmp_path / engine.JOB_SERVER_JAR
    done = subprocess.run(["java", "-jar", jar], capture_output=True, text=True, check=True)
    assert done.stdout == "opened"


@pytest.mark.parametrize("name", ["flink", "beam-flink", "beam-spark"])
def test_pins_are_one_sha256_a_jar(name):
    lines = (PINS / f"{name}.sha256").read_text().splitlines()
    pairs = [line.split() for line in lines]
    assert all(len(digest) == 64 and jar.endswith(".jar") for digest, jar in pairs)
    assert len({jar for _, jar in pairs}) == len(pairs)
