"""Data: files and memory to examples, batches and splits; no PyTorch."""

from rekur.data.batch import LengthBuckets, collate
from rekur.data.describe import Description, describe
from rekur.data.examples import Columns, Example, channels, examples
from rekur.data.memory import as_sequences, from_memory
from rekur.data.ragged import Ragged
from rekur.data.read import open_source
from rekur.data.source import Row, Source
from rekur.data.split import Split, item_key, split

__all__ = [
    "Columns",
    "Description",
    "Example",
    "LengthBuckets",
    "Ragged",
    "Row",
    "Source",
    "Split",
    "as_sequences",
    "channels",
    "collate",
    "describe",
    "examples",
    "from_memory",
    "item_key",
    "open_source",
    "split",
]
