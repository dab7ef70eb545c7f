"""Data: files and memory to examples, batches and splits; no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.data.batch import LengthBuckets, collate
    from rekur.data.chosen_columns import Columns, PairColumns, channels
    from rekur.data.corpus import Corpus, choose_folds, choose_rows, read_labels
    from rekur.data.description import Description, describe
    from rekur.data.encoded import EncodedItems
    from rekur.data.example import Example, examples
    from rekur.data.histories import CalendarStep, History, HistoryColumns, read_histories
    from rekur.data.memory import as_sequences, from_memory
    from rekur.data.pairs import pairs_in_memory, read_pairs
    from rekur.data.ragged import Ragged
    from rekur.data.read import open_source
    from rekur.data.source import Row, Source
    from rekur.data.splitting import Split, item_key, split
    from rekur.data.streams import Chunk, StreamBatches, Tokens, encode_texts, evaluation_chunks, fitting_batch_size
    from rekur.data.texts import Texts, open_texts, texts_in_memory

__all__ = [
    "CalendarStep",
    "Chunk",
    "Columns",
    "Corpus",
    "Description",
    "EncodedItems",
    "Example",
    "History",
    "HistoryColumns",
    "LengthBuckets",
    "PairColumns",
    "Ragged",
    "Row",
    "Source",
    "Split",
    "StreamBatches",
    "Texts",
    "Tokens",
    "as_sequences",
    "channels",
    "choose_folds",
    "choose_rows",
    "collate",
    "describe",
    "encode_texts",
    "evaluation_chunks",
    "examples",
    "fitting_batch_size",
    "from_memory",
    "item_key",
    "open_source",
    "open_texts",
    "pairs_in_memory",
    "read_histories",
    "read_labels",
    "read_pairs",
    "split",
    "texts_in_memory",
]

#: a command imports what it needs: one item takes no reader of files
__getattr__, __dir__ = lazily(
    __name__,
    {
        "batch": "LengthBuckets collate",
        "corpus": "Corpus choose_folds choose_rows read_labels",
        "description": "Description describe",
        "encoded": "EncodedItems",
        "chosen_columns": "Columns PairColumns channels",
        "example": "Example examples",
        "histories": "CalendarStep History HistoryColumns read_histories",
        "memory": "as_sequences from_memory",
        "pairs": "pairs_in_memory read_pairs",
        "ragged": "Ragged",
        "read": "open_source",
        "source": "Row Source",
        "splitting": "Split item_key split",
        "streams": "Chunk StreamBatches Tokens encode_texts evaluation_chunks fitting_batch_size",
        "texts": "Texts open_texts texts_in_memory",
    },
)
