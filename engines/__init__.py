"""Real Flink, Spark and Prism on this machine, for tests and benchmarks; not part of tagmine."""
