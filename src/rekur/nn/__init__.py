"""Layers: cells joined to scans, with depth, directions, lengths, pooling, attention and embeddings."""

from rekur.nn.adaptive import AdaptiveSoftmax
from rekur.nn.attention import AdditiveAttention, DotAttention, MultiHeadAttention
from rekur.nn.bidirectional import Bidirectional
from rekur.nn.conv import CausalConv
from rekur.nn.embed import Embedding
from rekur.nn.ngram import NGramEmbedding
from rekur.nn.pool import make_pool
from rekur.nn.recall import Recall
from rekur.nn.rnn import Layer
from rekur.nn.sampled import SampledSoftmax
from rekur.nn.softmax import FullSoftmax
from rekur.nn.stack import Recurrent, RecurrentOutput, detach_state
from rekur.nn.torch_api import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveSoftmax",
    "AdditiveAttention",
    "Bidirectional",
    "CausalConv",
    "DotAttention",
    "Embedding",
    "FullSoftmax",
    "Layer",
    "MultiHeadAttention",
    "NGramEmbedding",
    "Recall",
    "Recurrent",
    "RecurrentOutput",
    "SampledSoftmax",
    "detach_state",
    "make_pool",
]
