"""The consumer of a tag datastore: a multimodal LLM that reads retrieved tags (TUNA)."""
