"""Serves the page on loopback until it is interrupted."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser

import uvicorn
from rich.console import Console

from index.explore.app import make_app
from index.explore.asking import PhotoAnswerer
from index.explore.options import ExploreOptions
from index.explore.stores import open_stores
from tagmine.errors import ConfigurationError

_HOST = "127.0.0.1"


def serve(options: ExploreOptions, console: Console, answerer: PhotoAnswerer | None = None) -> None:
    """Open the datastores and serve their page; returns when Ctrl-C ends it.

    Raises:
        ConfigurationError: for a port that is taken.
        DatastoreError: for a folder that is no datastore.
    """
    with _listen(options.port) as listener:
        stores = open_stores(options)
        app = make_app(stores, answerer)
        address = f"http://{_HOST}:{listener.getsockname()[1]}/"
        console.print(f"{address} shows {', '.join(store.name for store in stores)}")
        console.print("Ctrl-C ends it.")
        if options.browser and _has_screen():
            webbrowser.open(address)
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=128,
            timeout_graceful_shutdown=1,
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            console.print("Closed.")


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # So that the same command can be run again at once; Linux still refuses two that listen.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"--port {port}: it cannot be had ({error.strerror}). Give another, or 0 for any that "
            "is free."
        ) from error
    return listener


def _has_screen() -> bool:
    # Without one, the standard library would start a browser of text in this terminal.
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in screens)
