"""A small procedurally drawn world, the encoder trained on it and the pipeline of its language."""
