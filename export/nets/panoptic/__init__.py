"""UPSNet and VPSNet: panoptic networks of pictures and of video."""
