"""UPSNet and VPSNet under the key names of the published files, written from the papers and from notes on the originals' behaviour."""
