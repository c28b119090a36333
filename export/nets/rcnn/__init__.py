"""Mask R-CNN and Faster R-CNN with ResNet-FPN bodies, under torchvision's key names."""
