"""``--serve`` and the options that belong to it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edgeseg.cli.logs import hides_notes, note
from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.sinks import Address, Channel, WebPage, WebSink
from edgeseg.sources import Source


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


def open_page(args: argparse.Namespace, source: Source) -> WebSink | None:
    """The page of one stream that the options ask for, with its address printed; None without ``--serve``.

    Raises:
        EdgesegError: it cannot be served so.
    """
    if not _is_wanted(args):
        return None
    page = WebSink(_address(args), args.token_file, args.record_dir, lambda: source.is_lost)
    _tell(page.url)
    return page


def open_shared_page(args: argparse.Namespace, channels: Sequence[Channel]) -> WebPage | None:
    """As `open_page`, with several streams.

    Raises:
        EdgesegError: it cannot be served so.
    """
    if not _is_wanted(args):
        return None
    page = WebPage(_address(args), args.token_file, args.record_dir, channels=channels)
    _tell(page.url)
    return page


def _is_wanted(args: argparse.Namespace) -> bool:
    if args.serve is None and (args.token_file is not None or args.record_dir is not None):
        raise UsageError("--token-file and --record-dir belong to the web page. Give --serve HOST:PORT as well.")
    return args.serve is not None


def _address(args: argparse.Namespace) -> Address:
    address = Address.parse(args.serve)
    if hides_notes() and args.token_file is None and not address.is_loopback:
        raise UsageError("--quiet and --log-format json show nobody the token of the web page. Give one with --token-file FILE.")
    return address


def _tell(url: str) -> None:
    note(Event("web.serving", f"web page {url}", url=url))
