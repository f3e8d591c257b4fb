"""What people have, turned into shards: tables with a folder of images, FashionGen, COCO, datasets.

A collection's words are read once into a catalogue; then each shard is made of the catalogue's rows
and their pictures alone, by whichever process, whenever.
"""
