"""Models: a specification built into a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.models.batch import Batch, ItemNetwork
    from rekur.models.decoder import EncoderDecoder, build_decoder
    from rekur.models.decoder_spec import DecoderSpec
    from rekur.models.encoder import Encoder
    from rekur.models.encoder_spec import EncoderSpec, TaggerSpec
    from rekur.models.forecaster import Forecaster, build_forecaster
    from rekur.models.forecaster_head import DistributionHead
    from rekur.models.forecaster_spec import ForecasterSpec
    from rekur.models.language import LanguageNetwork, LanguageState, build_language
    from rekur.models.language_spec import LanguageSpec
    from rekur.models.sequence import SequenceModel, build, count_core, count_parameters
    from rekur.models.series_network import SeriesNetwork, build_series
    from rekur.models.series_spec import SeriesSpec
    from rekur.models.spec import SequenceSpec
    from rekur.models.tagger import TagNetwork, build_tagger

__all__ = [
    "Batch",
    "DecoderSpec",
    "DistributionHead",
    "Encoder",
    "EncoderDecoder",
    "EncoderSpec",
    "Forecaster",
    "ForecasterSpec",
    "ItemNetwork",
    "LanguageNetwork",
    "LanguageSpec",
    "LanguageState",
    "SequenceModel",
    "SequenceSpec",
    "SeriesNetwork",
    "SeriesSpec",
    "TagNetwork",
    "TaggerSpec",
    "build",
    "build_decoder",
    "build_forecaster",
    "build_language",
    "build_series",
    "build_tagger",
    "count_core",
    "count_parameters",
]

#: a specification is checked without PyTorch
__getattr__, __dir__ = lazily(
    __name__,
    {
        "decoder": "EncoderDecoder build_decoder",
        "decoder_spec": "DecoderSpec",
        "encoder": "Encoder",
        "encoder_spec": "EncoderSpec TaggerSpec",
        "batch": "Batch ItemNetwork",
        "forecaster": "Forecaster build_forecaster",
        "forecaster_head": "DistributionHead",
        "forecaster_spec": "ForecasterSpec",
        "language": "LanguageNetwork LanguageState build_language",
        "language_spec": "LanguageSpec",
        "sequence": "SequenceModel build count_core count_parameters",
        "series_network": "SeriesNetwork build_series",
        "series_spec": "SeriesSpec",
        "spec": "SequenceSpec",
        "tagger": "TagNetwork build_tagger",
    },
)
