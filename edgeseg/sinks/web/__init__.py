"""A web page that shows a run while it goes on."""

from edgeseg.sinks.web.address import Address
from edgeseg.sinks.web.show import Channel
from edgeseg.sinks.web.sink import StreamSink, WebPage, WebSink

__all__ = ["Address", "Channel", "StreamSink", "WebPage", "WebSink"]
