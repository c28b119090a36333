"""``--serve`` and the options that belong to it."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeseg.cli.logs import hides_notes, note
from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.sinks import Address, WebSink


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """``--serve``, ``--token-file`` and ``--record-dir``."""
    group = parser.add_argument_group("web page")
    group.add_argument(
        "--serve",
        metavar="HOST:PORT",
        help="show the run on a web page, such as 127.0.0.1:8080; a PORT alone is on 127.0.0.1. Other machines reach it under 0.0.0.0:PORT "
        "and need the token that is printed (docs/web.md)",
    )
    group.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token that viewers need, instead of a new one")
    group.add_argument("--record-dir", type=Path, metavar="DIR", help="let viewers record annotated videos in this folder")


def open_page(args: argparse.Namespace) -> WebSink | None:
    """The page that the options ask for, with its address printed; None without ``--serve``.

    Raises:
        EdgesegError: it cannot be served so.
    """
    if args.serve is None:
        if args.token_file is not None or args.record_dir is not None:
            raise UsageError("--token-file and --record-dir belong to the web page. Give --serve HOST:PORT as well.")
        return None
    address = Address.parse(args.serve)
    if hides_notes() and args.token_file is None and not address.is_loopback:
        raise UsageError("--quiet and --log-format json show nobody the token of the web page. Give one with --token-file FILE.")
    page = WebSink(address, args.token_file, args.record_dir)
    note(Event("web.serving", f"web page {page.url}", url=page.url))
    return page
