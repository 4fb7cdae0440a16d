"""Backbones: networks of named feature maps, most of them classifiers too."""
