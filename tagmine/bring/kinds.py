"""What somebody has: told by the name of the file, or by what lies in the folder."""

from __future__ import annotations

from pathlib import Path

from tagmine.bring.options import HDF5, TABLES, BringOptions
from tagmine.bring.rows import Collection
from tagmine.errors import ConfigurationError


def open_collection(options: BringOptions) -> Collection:
    """Look into what is to be brought.

    Raises:
        ConfigurationError: for a source that is not there, of no known kind, or that cannot work.
    """
    paths = tuple(Path(source) for source in options.sources)
    for path in paths:
        if not path.exists():
            raise ConfigurationError(
                f"{path}: there is no such file or folder. Give a table, FashionGen's .h5, COCO's "
                ".json, or a folder of images with a table, or of a dataset."
            )
    if options.image_folder is not None and not Path(options.image_folder).is_dir():
        raise ConfigurationError(
            f"--image-folder {options.image_folder}: there is no such folder. Give the one that "
            "the paths of the images begin in."
        )
    if paths[0].is_dir():
        if len(paths) > 1:
            raise ConfigurationError(f"{paths[1]}: give one folder, or files only.")
        return _open_folder(options, paths[0])
    return _open_files(options, paths)


def _open_folder(options: BringOptions, folder: Path) -> Collection:
    # Each reader is imported when it is needed; Arrow, HDF5 and JSON parsers are heavy.
    from tagmine.bring import arrow_files

    if any((folder / name).is_file() for name in (arrow_files.STATE, arrow_files.SPLITS)):
        return arrow_files.open_datasets(options, folder)
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES)
    if len(tables) == 1:
        return _open_files(options, tuple(tables))
    if arrow_files.parquet_files(folder):
        return arrow_files.open_datasets(options, folder)
    found = ", ".join(path.name for path in tables[:5]) or "none"
    raise ConfigurationError(
        f"{folder}: tables in it: {found}. Give one table ({', '.join(TABLES)}) and, if its images "
        "are not beside it, their folder with --image-folder; or a folder that "
        "Dataset.save_to_disk wrote."
    )


def _open_files(options: BringOptions, paths: tuple[Path, ...]) -> Collection:
    kinds = {path.suffix.lower() for path in paths}
    if len(kinds) > 1:
        raise ConfigurationError(
            f"{', '.join(map(str, paths))}: give files of one kind at a time, each kind into an "
            "--out of its own."
        )
    (kind,) = kinds
    if kind in HDF5:
        from tagmine.bring.fashiongen import open_fashiongen

        if len(paths) > 1:
            raise ConfigurationError(f"{paths[1]}: give one .h5 at a time, each its own --out.")
        return open_fashiongen(options, paths[0])
    if kind == ".json":
        from tagmine.bring.coco import open_coco

        return open_coco(options, paths)
    if kind == ".parquet":
        from tagmine.bring.arrow_files import open_columnar

        options.refuse("poses", "encoding", "split", why="is not for Parquet.")
        listed = ", ".join(path.name for path in paths)
        return open_columnar(options, "table", listed, paths)
    if kind in TABLES:
        from tagmine.bring.tables import open_tables

        return open_tables(options, paths)
    raise ConfigurationError(
        f"{paths[0]}: give a file that ends in {', '.join((*TABLES, '.json', *HDF5))}, or a folder."
    )
