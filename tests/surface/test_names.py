"""The public names, written down: one that comes or goes is a change that users see."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import rekur

NAMES = {
    "rekur": (
        "Classifier Forecaster LanguageModel Regressor Tagger Translator __version__ cells compare load nn scan tasks"
    ),
    "rekur.cells": (
        "CELLS Cell Elman GRU GRUResetBefore GatedCell LSTM LayerNorm LinearCell MLSTM MinGRU MinLSTM "
        "PeepholeLSTM ProductCell RGLRU RecurrentDropout Residual SLSTM State Wrapper Zoneout describe_cells "
        "make_cell"
    ),
    "rekur.check": "CHECKS Check Finding NotApplicable Pair Subject check_bundle subject_of",
    "rekur.data": (
        "CalendarStep Chunk Columns Corpus Description EncodedItems Example History HistoryColumns LengthBuckets "
        "PairColumns Ragged Row Source Split StreamBatches Texts Tokens as_sequences channels choose_folds "
        "choose_rows collate "
        "describe encode_texts evaluation_chunks examples fitting_batch_size from_memory item_key open_source "
        "open_texts pairs_in_memory read_histories read_labels read_pairs split texts_in_memory"
    ),
    "rekur.decode": (
        "Continuation Draws Event GreedyTags Hypothesis PromptReader Rules Sample Sampler StepFunction Transitions "
        "Writer beam_search choose_alpha generate generate_all greedy_search legal_transitions length_limits "
        "sample_sequences viterbi"
    ),
    "rekur.export": "CExport export_c export_onnx",
    "rekur.export.weights": (
        "LayerWeights from_bundle from_keras from_node from_stack from_torch read_keras read_nodes to_keras to_node "
        "to_stack to_torch write_keras write_nodes"
    ),
    "rekur.features": (
        "Encoded FEATURES FeatureStream Features PairFeatures SeriesFeatures SymbolFeatures TextFeatures "
        "WindowFeatures WordFeatures load make_features restore"
    ),
    "rekur.lower": "lower program_files runtime_model step_function",
    "rekur.metrics": (
        "METRICS Metric SCHEMES Scheme SchemeChoice Scored bleu_records bleu_score bleu_signature bootstrap_interval "
        "calibration_curve calibration_error chrf_records chrf_score chrf_signature classification_scores "
        "detect_scheme forecast_records forecast_report forecast_scores hypothesis_records hypothesis_report "
        "hypothesis_scores multilabel_scores naive2 regression_scores seasonal_scales share_interval step_scores "
        "tag_records tag_report tag_scores text_records text_report text_scores tokenize_13a unscaled_windows"
    ),
    "rekur.models": (
        "Batch DecoderSpec DistributionHead Encoder EncoderDecoder EncoderSpec Forecaster ForecasterSpec ItemNetwork "
        "LanguageNetwork LanguageSpec LanguageState SequenceModel SequenceSpec SeriesNetwork SeriesSpec TagNetwork "
        "TaggerSpec build build_decoder build_forecaster build_language build_series build_tagger "
        "count_core count_parameters"
    ),
    "rekur.nn": (
        "AdaptiveSoftmax AdditiveAttention Bidirectional CausalConv DotAttention Embedding FullSoftmax GRU "
        "LSTM Layer MultiHeadAttention NGramEmbedding RNN Recall Recurrent RecurrentOutput SampledSoftmax "
        "detach_state make_pool"
    ),
    "rekur.program": (
        "Cost Engine ForecastEngine Input Live Many Op PairEngine Part Program State Weight check_weights costs "
        "dequantise draw_sequences in_precision quantise"
    ),
    "rekur.runtime": (
        "Bundle GenerationMixin Model PredictionMixin ProgramSteps ScoreLoss Session StepModel Update "
        "check_writable documents load model_of read_bundle score_loss write_bundle write_quantised"
    ),
    "rekur.scan": ("Choice PATHS choose loop reverse_rows runnable scan scan_both"),
    "rekur.study": ("Cluster ComparisonResult SearchResult Trial compare model_plots search write_report"),
    "rekur.targets": (
        "Answer DistributionTarget KINDS LabelTarget NextTarget NumberTarget Prediction Tag TagsTarget Target "
        "TargetStream TargetTokens TextTarget join_contexts restore_target"
    ),
    "rekur.tasks": (
        "Classifier DynamicEvaluation Estimator Forecaster LanguageModel NeuralCache Regressor SequenceEstimator "
        "TASKS Tagger Translator load"
    ),
    "rekur.train": "Checkpoints History Lines Plan Reporter Silent Stateless TrainOptions TrainResult train",
}


@pytest.mark.parametrize("module", NAMES)
def test_public_names(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == NAMES[module].split()


def test_every_public_package_is_in_the_table() -> None:
    packages = {
        f"rekur.{found.name}" for found in pkgutil.iter_modules(rekur.__path__) if found.ispkg and found.name[0] != "_"
    }
    assert packages - {"rekur.cli"} == {name for name in NAMES if name.count(".") == 1}


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_there_and_says_what_it_is(module: str) -> None:
    found = importlib.import_module(module)
    for name in found.__all__:
        thing = getattr(found, name)
        assert name.startswith("__") or not callable(thing) or thing.__doc__, name
    assert sorted(rekur.__all__) == dir(rekur)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = rekur.Clasifier
    assert str(caught.value) == "module 'rekur' has no attribute 'Clasifier'"


@pytest.mark.parametrize("module", [name for name in NAMES if hasattr(importlib.import_module(name), "__getattr__")])
def test_no_name_that_is_imported_late_is_a_module(module: str) -> None:
    found = importlib.import_module(module)
    modules = {inner.name for inner in pkgutil.iter_modules(found.__path__) if not inner.ispkg}
    assert not modules & set(found.__all__)
    assert dir(found) == sorted(found.__all__)
