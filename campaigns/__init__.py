"""Long runs that look for faults: random kills, and fuzzing of all that strangers write."""
