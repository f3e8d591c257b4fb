"""The jobs, as Beam pipelines and as the `tagmine` command. Only here is Beam imported."""
