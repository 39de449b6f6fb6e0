"""The largest requests that endpoints accept, by the limits in an export's card.

Rows of the table `safety`: REQUESTS[row](card) gives {case: {input: value}}, requests to the row's endpoint.
"""

import io
import itertools
import math

import bombs
import numpy as np


def image_bytes(card):
    """The largest picture in each format; the most pixels in one request; the most pictures in one request."""
    limits = card["endpoints"]["serving_default"]["limits"]
    height, width = _sides(limits)
    together = min(limits["pictures"], max(1, limits["pixels_of_all"] // (height * width)))
    cases = {}
    for form in ("PNG", "PNG of 16 bits", "JPEG", "JPEG of 64 scans", "GIF", "BMP", "WEBP"):
        picture = _picture(height, width, form)
        if len(picture) <= limits["bytes"]:
            cases[f"{form}, 1 x {height} x {width}"] = {"image_bytes": [picture]}
    for form in ("PNG", "JPEG"):
        cases[f"{form}, {together} x {height} x {width}"] = {"image_bytes": [_picture(height, width, form)] * together}
    side = min(limits["side"], math.isqrt(limits["pixels_of_all"] // limits["pictures"]))
    cases[f"PNG, {limits['pictures']} x {side} x {side}"] = {
        "image_bytes": [_picture(side, side, "PNG")] * limits["pictures"]
    }
    return cases


def image(card, endpoint="serve"):
    """Raw pictures: the largest one, as many of these as are allowed, and the most pictures in one request."""
    serve = card["endpoints"][endpoint]
    limits, channels = serve["limits"], serve["inputs"]["image"]["shape"][3]
    height, width = _sides(limits)
    together = min(limits["pictures"], max(1, limits["pixels_of_all"] // (height * width)))
    side = min(limits["side"], math.isqrt(limits["pixels_of_all"] // limits["pictures"]))
    shapes = dict.fromkeys([(1, height, width), (together, height, width), (limits["pictures"], side, side)])
    return {" x ".join(map(str, shape)): {"image": np.zeros((*shape, channels), np.uint8)} for shape in shapes}


def density_image_bytes(card):
    """Encoded pictures whose likelihood is asked for, as in `image_bytes`."""
    return {case: _defaults(card, "serving_default") | request for case, request in image_bytes(card).items()}


def density_log_prob(card):
    """Pictures whose likelihood is asked for, as in `image`."""
    return {case: _defaults(card, "log_prob") | request for case, request in image(card, "log_prob").items()}


def latent_encode(card):
    return image(card, "encode")


def latent_reconstruct(card):
    return image(card, "reconstruct")


def latent_decode(card):
    """The most codes."""
    decode = card["endpoints"]["decode"]
    most, numbers = decode["limits"]["codes"], decode["inputs"]["latent"]["shape"][1]
    return {f"{most} codes": {"latent": np.zeros((most, numbers), np.float32)}}


def latent_log_prob(card):
    """The largest picture with the most samples; the most pictures, each with as many samples as there may be then."""
    limits, cases = card["endpoints"]["log_prob"]["limits"], {}
    for case, request in image(card, "log_prob").items():
        samples = min(limits["samples"], limits["samples_of_all"] // len(request["image"]))
        if samples:
            cases[f"{case}, {samples} samples"] = _defaults(card, "log_prob") | request | {"k": samples}
    return cases


def drawn(card):
    """The most pictures that are drawn: of the endpoint `sample` of every model of pictures."""
    most = card["endpoints"]["sample"]["limits"]["pictures"]
    return {f"{most} drawn": _defaults(card, "sample") | {"n": most}}


def density_complete(card):
    """Pictures of which nothing is given."""
    shape = card["endpoints"]["complete"]["inputs"]["mask"]["shape"]
    return {
        case: _defaults(card, "complete") | request | {"mask": np.zeros((len(request["image"]), *shape[1:]), np.uint8)}
        for case, request in image(card, "complete").items()
    }


def music_score(card):
    """The most pieces, and the most time steps."""
    return {
        f"{pieces} x {steps} steps": {"roll": _roll(pieces, steps), "steps": [steps] * pieces}
        for pieces, steps in _rolls(card["endpoints"]["score"]["limits"], "steps")
    }


def music_generate(card):
    """All steps drawn, and all steps but the last given."""
    limits, defaults, cases = card["endpoints"]["generate"]["limits"], _defaults(card, "generate"), {}
    for pieces, steps in _rolls(limits, "steps"):
        request = {"prime": _roll(pieces, steps - 1), "length": 1}
        cases[f"{pieces} x {steps} steps, one drawn"] = defaults | request
    for pieces, steps in _rolls(limits, "length"):
        request = {"prime": _roll(pieces, 0), "length": steps}
        cases[f"{pieces} x {steps} steps, all drawn"] = defaults | request
    return cases


def audio_bytes(card):
    """WAV files of the most recordings, and of the longest."""
    from keras_dl.features.audio import EncodedAudio

    encoded = EncodedAudio(card["data"]["rate"])
    return {case: {"audio_bytes": encoded.batch(list(request["audio"]))} for case, request in audio_score(card).items()}


def audio_score(card):
    """The most recordings, and the longest."""
    limits = card["endpoints"]["score"]["limits"]
    return {
        f"{count} x {samples} samples": {"audio": _noise(count, samples), "samples": [samples] * count}
        for count, samples in _recordings(limits, limits["samples_of_all"])
    }


def audio_sample(card):
    """The most sounds, and the longest."""
    limits = card["endpoints"]["sample"]["limits"]
    return {
        f"{count} x {samples} samples": _defaults(card, "sample") | {"n": count, "length": samples}
        for count, samples in _recordings(limits, limits["samples"])
    }


def audio_generate(card):
    """The most that can be given, and the most that can be drawn after a sample."""
    limits, defaults, cases = card["endpoints"]["generate"]["limits"], _defaults(card, "generate"), {}
    most = card["endpoints"]["score"]["limits"]["samples_of_all"]
    for count, samples in _recordings(limits | {"samples_of_all": most}, most):
        cases[f"{count} x {samples} samples, one drawn"] = defaults | {"prime": _noise(count, samples), "length": 1}
    for count, samples in _recordings(limits, limits["samples"]):
        request = {"prime": _noise(count, 1), "length": samples}
        cases[f"{count} x {samples} samples drawn"] = defaults | request
    return cases


def mask_image(card, endpoint="serve"):
    """The largest pictures whose masks are answered: one, and the most of one request."""
    serve = card["endpoints"][endpoint]
    limits, channels = serve["limits"], serve["inputs"]["image"]["shape"][3]
    pixels = min(limits["probabilities_of_all"] // len(card["data"]["classes"]), limits["pixels_of_all"])
    requests = {}
    for count in (1, limits["pictures"]):
        side = min(limits["side"], math.isqrt(min(limits["pixels"], pixels // count)))
        shape = (count, side, side, channels)
        requests[" x ".join(map(str, shape[:3]))] = {"image": np.zeros(shape, np.uint8)}
    return requests


def mask_probabilities(card):
    return mask_image(card, "probabilities")


def text_score(card):
    """The most texts, and the longest text."""
    return {
        f"{texts} x {tokens} tokens": {"text": [_text(card, tokens)] * texts}
        for texts, tokens in _shapes(card, "score", "texts")
    }


def text_generate(card):
    """All tokens drawn, with and without top_p, and all tokens but the last given."""
    cases = {}
    for texts, tokens in _shapes(card, "generate", "texts"):
        for what, length, more in (
            ("all drawn", tokens, {}),
            ("all drawn of a nucleus", tokens, {"top_p": 0.99}),
            ("one drawn", 1, {}),
        ):
            request = {"prime": [_text(card, tokens - length)] * texts, "length": length}
            cases[f"{texts} x {tokens} tokens, {what}"] = _defaults(card, "generate") | request | more
    return cases


def translate(card):
    """The most sentences, and the longest sentence."""
    return {
        f"{sentences} x {tokens} tokens": _defaults(card, "translate")
        | {"source": [_sentence(card, tokens)] * sentences}
        for sentences, tokens in _shapes(card, "translate", "sentences")
    }


def translation_sample(card):
    return _of_sentences(card, "sample")


def translation_score(card):
    cases = {}
    for sentences, tokens in _shapes(card, "score", "sentences"):
        texts = [_sentence(card, tokens)] * sentences
        cases[f"{sentences} x {tokens} tokens"] = {"source": texts, "target": texts}
    return cases


REQUESTS = {
    "image_bytes": image_bytes, "image": image, "music_score": music_score, "music_generate": music_generate,
    "audio_bytes": audio_bytes, "audio_score": audio_score, "audio_sample": audio_sample,
    "audio_generate": audio_generate, "mask_image_bytes": image_bytes, "mask_image": mask_image,
    "mask_probabilities": mask_probabilities, "text_score": text_score, "text_generate": text_generate,
    "translate": translate, "translation_sample": translation_sample, "translation_score": translation_score,
    "density_image_bytes": density_image_bytes, "density_log_prob": density_log_prob,
    "density_sample": drawn, "density_complete": density_complete, "latent_image_bytes": image_bytes,
    "latent_encode": latent_encode, "latent_decode": latent_decode, "latent_sample": drawn,
    "latent_reconstruct": latent_reconstruct, "latent_log_prob": latent_log_prob, "gan_sample": drawn,
}  # fmt: skip


def _sides(limits):
    """(height, width) of the largest picture."""
    height = min(limits["side"], math.isqrt(limits["pixels"]))
    return height, min(limits["side"], limits["pixels"] // height)


def _picture(height, width, form):
    """A picture of three colours in stripes as a file's bytes."""
    from PIL import Image

    if form == "PNG of 16 bits":  # with an alpha: four numbers of two bytes a pixel
        return bombs.png_file(height, width, 16, 6, b"\0" + b"\xc8\x10\x64\x20\x32\x30\x80\x80" * width)
    if form == "JPEG of 64 scans":
        return _with_scans(_picture(height, width, "progressive JPEG"), 64)
    options = {
        "WEBP": {"lossless": True, "method": 0},
        "progressive JPEG": {"progressive": True, "subsampling": 0, "quality": 95},
    }
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[::2] = 200, 100, 50
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form.split()[-1], **options.get(form, {}))
    return buffer.getvalue()


def _with_scans(jpeg, count):
    """A progressive JPEG with so many scans: the last one is repeated."""
    start = jpeg.rindex(b"\xff\xda")  # start of scan
    return jpeg[:-2] + jpeg[start:-2] * (count - jpeg.count(b"\xff\xda")) + jpeg[-2:]


def _rolls(limits, longest):
    """(pieces, steps) of the two largest requests."""
    pieces, steps, together = limits["pieces"], limits[longest], limits["steps_of_all"]
    return dict.fromkeys([(pieces, min(steps, together // pieces)), (max(1, together // steps), steps)])


def _roll(pieces, steps):
    return np.random.default_rng(0).integers(0, 2, (pieces, steps, 88), np.uint8)


def _recordings(limits, longest):
    """(recordings, samples of each) of the two largest requests."""
    count, together = limits["recordings"], limits["samples_of_all"]
    return dict.fromkeys([(count, min(longest, together // count)), (max(1, together // longest), longest)])


def _noise(count, samples):
    return np.random.default_rng(0).uniform(-1, 1, (count, samples)).astype(np.float32)


def _of_sentences(card, endpoint):
    defaults, cases = _defaults(card, endpoint), {}
    for sentences, tokens in _shapes(card, endpoint, "sentences"):
        cases[f"{sentences} x {tokens} tokens"] = defaults | {"source": [_sentence(card, tokens)] * sentences}
    return cases


def _shapes(card, endpoint, rows):
    """(rows, tokens of each): the most rows, the longest row, and as many of the longest as are allowed."""
    from keras_dl.endpoints.translation import BEYOND

    limits = card["endpoints"][endpoint]["limits"]
    most, longest, together = limits[rows], limits["tokens"], limits["tokens_of_all"]
    beyond = BEYOND if endpoint in ("translate", "sample") else 0
    sizes = [(most, min(longest, together // most - beyond)), (1, longest), (together // (longest + beyond), longest)]
    return dict.fromkeys((count, tokens) for count, tokens in sizes if 0 < count <= most and tokens > 0)


def _defaults(card, endpoint):
    inputs = card["endpoints"][endpoint]["inputs"]
    return {name: spec["default"] for name, spec in inputs.items() if "default" in spec}


def _config(card, field):
    """The config of the card's features that has this field."""
    return next(config for config in card["features"].values() if field in config)


def _text(card, tokens):
    """A text of so many tokens that a language model knows."""
    config = _config(card, "vocabulary")
    level, vocabulary = config["level"], config["vocabulary"]
    known = [token for token in vocabulary if token.isalpha()] or [token for token in vocabulary if token.strip()]
    return ("" if level == "character" else " ").join(itertools.islice(itertools.cycle(known[-9:]), tokens))


def _sentence(card, tokens):
    """A sentence of about so many sub-words, its end counted, and never of more."""
    from keras_dl.features.subwords import Subwords

    subwords = Subwords(tuple(_config(card, "pieces")["pieces"]))
    letters = [piece for piece in subwords.pieces if len(piece) == 1 and piece.isalpha()]
    each = {letter: len(subwords.encode([f"{letter} {letter}"])[0]) // 2 for letter in letters[:9]}
    word = min(each, key=each.get)
    return " ".join([word] * ((tokens - 1) // each[word]))
