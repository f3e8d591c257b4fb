"""A name on the hub where no hub can be reached."""

from __future__ import annotations

import socket
import threading

import pytest
from huggingface_hub import constants
from transformers import CLIPModel

from tagmine.errors import ConfigurationError
from tuna_model.from_llava import load_pretrained


@pytest.fixture
def mute_hub(monkeypatch):
    """A hub that hangs up on whoever calls; how often it was called."""
    calls = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def hang_up() -> None:
            while True:
                try:
                    calls.append(server.accept()[0].close())
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield calls
        server.shutdown(socket.SHUT_RDWR)


def test_a_name_out_of_reach_is_said_without_trying_every_file(mute_hub):
    for what in ("CLIP", "CLIP's tokenizer"):
        with pytest.raises(ConfigurationError, match=f"{what} 'nobody/of-this-name' cannot be"):
            load_pretrained(CLIPModel, "nobody/of-this-name", what)
    assert 1 <= len(mute_hub) <= 2
