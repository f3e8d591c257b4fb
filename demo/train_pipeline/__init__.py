"""Trains `demo/en_caption_sm`, the small English caption pipeline that tagmine ships."""
