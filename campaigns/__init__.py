"""What looks for faults: random kills, fuzzing of all that strangers write, known holes."""
