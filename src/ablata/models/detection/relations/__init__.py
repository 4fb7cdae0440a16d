"""Reasoning-RCNN's class relations and Relation Networks' object relations."""
