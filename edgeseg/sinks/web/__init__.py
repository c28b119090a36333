"""A web page that shows a run while it goes on."""

from edgeseg.sinks.web.address import Address
from edgeseg.sinks.web.sink import WebSink

__all__ = ["Address", "WebSink"]
