"""What every test gets: a data folder of its own, the run's seed, and a rule about skips."""

import ast
import collections
import functools
import gc
import os
import tempfile
from pathlib import Path

import pytest

import keras_dl  # before TensorFlow: it sets the environment
from keras_dl import imports, runs

# A skip for any other reason fails a strict run (KERAS_DL_STRICT_SKIPS=1): nothing drops out unseen.
ALLOWED_SKIPS = (
    "oracle: PyTorch is not installed",
    "oracle: optax is not installed",
    "browser: Chromium is not installed",
    "data: ",
    "disk: a small tmpfs cannot be mounted",
    "device: ",
    "extra [serving] is not installed",  # the fast tests run without extras
    "extra [music] is not installed",
    "extra [translation] is not installed",
)
LONGEST = (
    "test_apps", "test_apps_sequences", "test_laws_models", "test_tuning", "test_endpoints_translation",
    "test_laws_sequences", "test_training", "test_summaries", "test_laws_recurrent_layers", "test_decoding_beam",
    "test_faults",
)  # fmt: skip
BY_ROW = ("test_laws_models", "test_laws_gradients", "test_laws_autoregressive")  # spread by the rows of tests/cases.py
# Tests whose rows take seconds each, and how many of them, the first, run among the fast tests; the others are slow.
FAST_ROWS = {
    "test_cached_sampling_is_the_plain_loop_value_for_value_under_the_same_noise": 2,
    "test_the_gradient_of_a_values_parameters_by_that_value_is_zero": 6,
    "test_what_is_given_stays_and_the_rest_is_drawn_from_it": 1,
    "test_a_reloaded_model_draws_the_same_images": 0,
    "test_an_update_with_a_factor_is_that_of_the_same_optimizer_with_the_lower_rate": 6,
    "test_a_file_gives_a_model_that_answers_writes_and_shows_the_same": 1,
    "test_keep_says_whose_weights_stay": 1,
    "test_a_run_with_little_to_say_has_a_report": 3,
    "test_feature_maps_shift_with_the_image_by_the_total_stride": 2,
    "test_a_state_may_grow": 1,
    "test_numbers_of_numpy_and_lists_build_the_same_model": 2,
    "test_an_export_draws_what_python_draws": 1,
    "test_step_by_step_it_gives_the_whole_models_logits_on_the_growing_prefix": 2,
    "test_it_trains_on_its_own_draws_and_carries_its_window": 1,
    "test_the_unknown_is_never_drawn": 1,
    "test_the_commands_in_a_card_name_any_folder": 1,
    "test_every_number_of_every_app_has_a_range_and_is_refused_beyond_it": 1,
    "test_what_is_written_as_midi_is_read_again": 4,
    "test_a_checkpoint_that_is_whole_and_wrong_inside_is_passed_over": 2,
    "test_a_sentence_may_get_more_rows_and_fewer": 1,
    "test_a_damaged_card_is_one_line_and_does_not_break_the_others": 0,
    "test_every_argument_of_keras_means_what_it_means_there": 6,
    "test_a_file_gives_the_same_optimizer": 1,
    "test_step_by_step_it_gives_the_models_logits": 2,
    "test_a_resumed_run_has_one_curve": 1,
    "test_numbers_out_of_their_range_are_refused_and_not_wrapped": 4,
    "test_nothing_is_answered_by_nothing": 1,
    "test_metrics_are_means_over_all_steps_of_all_batches": 2,
    "test_metrics_under_fit_and_evaluate": 1,
    "test_keras_reports_exactly_this_number": 1,
    "test_a_picture_that_looks_inverted_is_said_in_one_line": 1,
    "test_it_is_the_plain_search": 6,
    "test_a_full_disk_is_one_line_and_keeps_what_was_complete": 0,
    "test_the_mean_of_the_last_epochs_weights_may_stay": 1,
    "test_a_run_that_was_stopped_within_an_epoch_goes_on_to_the_bit": 1,
    "test_the_set_is_exact_for_many_rows": 0,
    "test_a_step_keeps_the_states_shapes_so_that_a_loop_can_run_it": 4,
    "test_a_transformer_in_halves": 1,
    "test_an_exported_model_serves_any_batch_and_length_and_needs_no_compiler": 0,
    "test_greedy_decoding_is_the_whole_model_on_the_growing_prefix": 1,
    "test_multi30k_is_its_lines_in_order": 0,
    "test_a_finished_run_with_more_epochs_ends_as_one_that_had_them_from_the_start": 1,
    "test_recurrent_layers": 12,
    "test_half_precision_computes_nearly_the_same": 6,
    "test_held_out_sources_are_new_and_their_words_are_not": 2,
    "test_two_steps_may_go_on_from_one_state": 1,
    "test_adam_is_keras_adam": 3,
    "test_frequencies_are_the_softmax_at_the_temperature": 2,
    "test_they_are_saved_with_a_model": 0,
    "test_a_reloaded_export_gives_the_same_ids_and_text": 0,
    "test_width_1_and_a_sample_at_temperature_0_are_the_greedy_choice": 0,
    "test_forward_and_back_are_the_papers_equations": 24,
    "test_bidirectional_works_as_over_keras_layers": 6,
    "test_keras_layers_compute_the_same": 12,
    "test_a_padded_batch_is_its_sequences_one_by_one": 6,
    "test_parts_with_the_state_handed_over_are_the_whole": 12,
    "test_a_layer_runs_by_the_route_it_was_asked_for": 8,
    "test_the_same_numbers_from_the_same_weights": 8,
    "test_a_measure_that_is_no_number_or_takes_a_name_is_one_line_before_training": 3,
    "test_a_train_step_of_the_models_own_is_trained_monitored_and_resumed": 0,
    "test_the_number_of_updates_is_exact_whatever_the_block": 0,
    "test_an_epoch_that_reports_other_numbers_than_before_is_one_line": 0,
    "test_what_a_resume_cannot_put_back_is_said_in_one_line": 0,
    "test_epochs_may_grow": 0,
    "test_a_finished_fit_is_not_trained_again": 0,
    "test_a_search_goes_over_it": 0,
    "test_learning_rates_are_logged_by_part_and_one_alone_has_no_part": 0,
    "test_a_plateau_halves_every_rate": 0,
    "test_the_best_epoch_of_several_parts_is_kept": 0,
    "test_a_flag_that_is_given_wins": 12,
    "test_a_folder_s_pictures_keep_their_usual_size": 0,
    "test_every_value_that_a_search_draws_changes_the_model_and_is_what_is_said": 2,
    "test_every_app_sets_its_devices_before_the_first_operation": 0,
    "test_a_run_that_stopped_early_goes_on_with_more_patience_as_one_that_had_it_from_the_start": 1,
    "test_norms_are_of_the_step_that_training_makes_next": 2,
    "test_events_are_on_disk_before_a_checkpoint_can_follow": 0,
    "test_histograms_and_norms_of_layers_come_when_they_are_asked_for": 0,
    "test_no_sentences_are_drawn_and_scored": 0,
    "test_padding_behind_a_source_changes_nothing": 3,
    "test_what_the_export_would_not_translate_is_said_before_the_training": 0,
    "test_the_same_bits_eagerly_in_a_graph_and_inside_a_map": 0,
    "test_what_hangs_dies_or_takes_all_memory_is_ended_and_the_rest_is_asked": 0,
    "test_every_update_has_the_rate_of_its_schedule": 24,
    "test_the_draw_is_a_function_of_the_seed": 0,
    "test_a_search_goes_by_what_a_measure_says": 0,
    "test_a_finished_run_that_is_resumed_has_everything_once": 0,
    "test_the_elbo_is_summed_over_pixels_and_latents_and_averaged_over_images": 1,
    "test_the_loss_of_several_samples_is_minus_the_log_of_the_mean_weight": 1,
    "test_the_gradient_is_that_of_each_weight_by_its_share": 1,
    "test_a_step_moves_every_weight": 1,
    "test_one_sample_gives_the_elbo": 1,
    "test_everything_is_finite_at_any_log_variance_and_the_gradient_leads_back": 2,
    "test_pictures_are_decoded_codes_and_a_seed_is_a_picture": 1,
    "test_a_run_of_before_is_continued_in_its_own_folder": 0,
}
# Of these, so many slow rows run among the long tests; all others by `make test-exhaustive`, before a release.
LONG_ROWS = {
    "test_an_app_starts_from_the_export_of_other_data": 2,
    "test_every_value_that_a_search_draws_changes_the_model_and_is_what_is_said": 3,
    "test_every_option_of_the_image_app": 4,
    "test_every_option_of_the_sequence_apps": 3,
    "test_every_model_of_the_image_app": 2,
    "test_a_file_of_every_builder_answers_as_the_saved_model_does": 2,
    "test_a_picture_of_another_size_is_resized_inside": 2,
    "test_a_file_with_other_pre_processing_is_refused": 2,
    "test_a_text_has_the_likelihood_that_the_saved_model_gives_it": 2,
    "test_a_piece_has_the_likelihood_that_the_saved_model_gives_it": 1,
    "test_an_app_exports_whatever_becomes_of_its_output": 1,
    "test_the_exported_translate_is_the_python_one": 1,
    "test_a_fresh_process_with_tensorflow_alone_answers_alike": 1,
    "test_every_app_sets_its_devices_before_the_first_operation": 1,
    "test_the_deepest_model_of_a_builder_is_built_saved_and_loaded": 2,
    "test_the_worst_that_can_be_sent_stays_within_the_bars": 1,
}
_skipped = []

_config = tempfile.TemporaryDirectory(prefix="keras_dl-tests-config-")  # the key that signs exports is not the user's
os.environ["XDG_CONFIG_HOME"] = _config.name
if "TFDS_DATA_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="keras_dl-tests-")
    os.environ["TFDS_DATA_DIR"] = _folder.name


@pytest.fixture(scope="session", autouse=True)
def quick_tensorflow():
    """Tracebacks are not filtered, and kernels stay ready.

    A new seed throws away all kernels and functions that are ready to run: to make them ready again takes seconds.
    What is ready does not depend on what ran before, but for unseeded operations of tf.random, which nobody uses.
    """
    with imports.quiet_tensorflow():
        import keras
        import tensorflow as tf
        from tensorflow.python.eager import context
    keras.config.disable_traceback_filtering()  # a tenth of the time of small models, and an error says where it is
    tf.debugging.disable_traceback_filtering()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.pywrap_tfe, "TFE_ContextClearCaches", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def fresh_keras(quick_tensorflow):
    """Every test starts from one seed and float32, whatever ran before."""
    with imports.quiet_tensorflow():
        import keras
    keras.mixed_precision.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def answering_process():
    from answering import AnsweringProcess  # imports TensorFlow

    return AnsweringProcess()


@pytest.fixture
def one_process_answers(answering_process, monkeypatch):
    """Exports are asked in a process that is there already: to start one for each takes seconds."""
    from keras_dl import fresh_process

    monkeypatch.setattr(fresh_process, "ask", answering_process.ask)


_loaded = {}


@pytest.fixture(scope="module")
def loaded_once():
    """A SavedModel that was loaded in this process is not loaded again: loading and the first answer take seconds.

    It is known by its file, whatever its folder is called: what an export answers before it has its name is not asked
    of another copy afterwards.
    """
    import tensorflow as tf

    load = tf.saved_model.load

    def load_once(path):
        file = os.stat(os.path.join(path, "saved_model.pb"))
        key = file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size
        if key not in _loaded:
            _loaded[key] = load(path)
        return _loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", load_once)
        yield


@pytest.fixture
def run(tmp_path):
    return runs.Run(path=tmp_path / "run", root=tmp_path, name="convnet-digits", app="classify_images")


def pytest_runtest_logreport(report):
    _seconds[group_of(report.nodeid)] += report.duration
    note_skip(report)


def note_skip(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            _skipped.append(f"{report.nodeid}: {reason}")


pytest_collectreport = note_skip  # a module that skips itself


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items):
    """Mark the rows beyond FAST_ROWS, and sort: the files that take longest first, so that no worker ends alone."""
    fast, long = collections.Counter(), collections.Counter()
    for item in items:
        name = getattr(item, "originalname", None)
        if name in FAST_ROWS and not any(item.iter_markers("slow")):
            fast[name] += 1
            if fast[name] > FAST_ROWS[name]:
                item.add_marker(pytest.mark.slow)
        if name in LONG_ROWS and any(item.iter_markers("slow")):
            long[name] += 1
            if long[name] > LONG_ROWS[name]:
                item.add_marker(pytest.mark.exhaustive)
    rank = {f"{name}.py": k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))  # stable


def pytest_collection_finish():
    """What was imported stays to the end: it is not looked through at each collection of garbage, nor that often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@functools.cache
def rows_of_the_table():
    """The names of the rows of tests/cases.py, read without running it: it imports TensorFlow."""
    tree = ast.parse(Path(__file__).with_name("cases.py").read_text(encoding="utf-8"))
    (table,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CASES"
    )
    return [key.value for key in table.keys]


def group_of(name):
    """What one process runs as a whole: the laws of a row of tests/cases.py, which share its model, or a file."""
    file, _, test = name.partition("::")
    if Path(file).stem in BY_ROW:
        arguments = test.partition("[")[2].rstrip("]")
        if of := [row for row in rows_of_the_table() if arguments == row or arguments.startswith(f"{row}-")]:
            return f"row {max(of, key=len)}"
    return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """--dist loadfile hands out groups. (pytest-xdist 3.8 ignores its own xdist_group with pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return ByGroup(config, log) if config.getvalue("dist") == "loadfile" else None


_seconds = collections.Counter()


def pytest_terminal_summary(terminalreporter):
    """Which rows and files take longest, what is made for several of their tests counted."""
    if not _seconds:
        return
    total = sum(_seconds.values())
    terminalreporter.section(f"slowest of {len(_seconds)} rows and files, {total:.0f} s together")
    for group, seconds in _seconds.most_common(10):
        terminalreporter.write_line(f"{seconds:6.1f} s  {group}")


def pytest_sessionfinish(session):
    if os.environ.get("KERAS_DL_STRICT_SKIPS") and _skipped:
        print("\nSkipped for a reason that is not on the allowed list:", *_skipped, sep="\n  ")
        session.exitstatus = 1


@pytest.fixture(scope="session")
def digits():
    return keras_dl.data.images.load("digits")
