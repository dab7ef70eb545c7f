"""Data: files and memory to examples, batches and splits; no PyTorch."""

from rekur.data.batch import LengthBuckets, collate
from rekur.data.corpus import Corpus, Encoded, choose_rows, encode_items, read_labels
from rekur.data.describe import Description, describe
from rekur.data.examples import Columns, Example, channels, examples
from rekur.data.memory import as_sequences, from_memory
from rekur.data.ragged import Ragged
from rekur.data.read import open_source
from rekur.data.source import Row, Source
from rekur.data.split import Split, item_key, split
from rekur.data.streams import Chunk, StreamBatches, Tokens, encode_texts, evaluation_chunks, fitting_batch_size
from rekur.data.texts import Texts, open_texts, texts_in_memory

__all__ = [
    "Chunk",
    "Columns",
    "Corpus",
    "Description",
    "Encoded",
    "Example",
    "LengthBuckets",
    "Ragged",
    "Row",
    "Source",
    "Split",
    "StreamBatches",
    "Texts",
    "Tokens",
    "as_sequences",
    "channels",
    "choose_rows",
    "collate",
    "describe",
    "encode_items",
    "encode_texts",
    "evaluation_chunks",
    "examples",
    "fitting_batch_size",
    "from_memory",
    "item_key",
    "open_source",
    "open_texts",
    "read_labels",
    "split",
    "texts_in_memory",
]
