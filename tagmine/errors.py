"""The exceptions a caller may meet, by what they must do next."""


class TagmineError(Exception):
    """Base of every error that tagmine raises on purpose; its text is whole sentences."""


class ConfigurationError(TagmineError):
    """An option, path or model that cannot work; raised before any shard is opened."""


class DatastoreError(TagmineError):
    """A datastore folder that is missing, incomplete, altered, or made by something else."""
