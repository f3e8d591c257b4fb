"""`tagmine explore`: a local page to look into datastores. Imports no Beam and no model."""
