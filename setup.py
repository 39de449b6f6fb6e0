"""The one source of metadata. Exact versions stand in requirements.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.*)"', (HERE / "keras_dl" / "__init__.py").read_text())[1]

setup(
    name="keras_dl",
    version=VERSION,
    description="The architectures of an introduction to deep learning, from the paper's equations to a served model",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["keras_dl", "keras_dl.*"]),
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",  # fit under a strategy builds with a private method: a new version is tried first
        "keras-tuner>=1.4.8,<1.5",
        "tensorflow-datasets>=4.9.10,<5",
        "importlib_resources>=6",  # tensorflow-datasets uses it without asking for it
        "tensorboard>=2.20,<3",
        "numpy>=2,<3",
        "msgspec>=0.21,<1",  # schemas of the JSON files of runs and exports
        "scikit-learn>=1.5,<2",
        "threadpoolctl>=3.5",  # comes with scikit-learn
        "matplotlib>=3.9,<4",
        "pillow>=11",  # letters in grids of pictures, animated pictures
        "rich>=14",
        "tyro>=1,<2",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "music": ["music21>=10.5,<11", "pretty_midi==0.2.11.post0"],  # chorales and MIDI
        "translation": ["sentencepiece>=0.2.1,<0.3", "sacrebleu>=2.5,<3", "babel>=2.17,<3"],  # sub-words, BLEU, CLDR
        "signals": ["soundfile>=0.13,<0.15", "soxr>=1,<2", "nibabel==5.4.2"],  # sound files, NIfTI volumes
        "onnx": ["onnx==1.23.2", "tf2onnx==1.17.0", "onnxruntime==1.32.0"],
        "serving": ["tensorflow-serving-api==2.21.0"],
        "dev": ["pytest>=9", "pytest-xdist>=3.6", "ruff>=0.14"],
        "bench": ["torch==2.13.0", "regioncam==0.5.2", "optax==0.2.8", "jax==0.10.2"],
    },
)
