"""Classes and their probabilities: the outputs of a classifier."""

import dataclasses
from typing import NotRequired, TypedDict

from keras_dl.features.base import Feature
from keras_dl.wording import counted

BESIDE = 4  # classes that a table lists after the best one


class ClassesConfig(TypedDict):
    classes: NotRequired[list[str]]


@dataclasses.dataclass(frozen=True)
class Label(Feature):
    """The name of the best class: strings (B,).

    Attributes:
        classes: the names of all K classes.
    """

    classes: tuple = ()

    kind = "class"
    dtype = "string"
    CONFIG = ClassesConfig

    def config(self):
        return {"classes": [str(name) for name in self.classes]}

    @classmethod
    def from_config(cls, config):
        return cls(tuple(config.get("classes", ())))

    def not_for(self, data):
        known = f"its {counted(len(self.classes), 'classes')}"
        return [f"anything that is none of {known}: the answer is one of them, whatever it is asked"]


class BestLabels(Label):
    """The names of the best classes, best first: strings (B, k)."""

    kind = "classes"
    shape = (None, None)

    def columns(self, name, value, answer):
        """The best class, its probability and the runners-up, if the answer has probabilities."""
        scores = next((values for feature, values in answer.values() if feature.kind == "scores"), None)
        if not isinstance(value, list) or not isinstance(scores, list):
            return super().columns(name, value, answer)
        best = list(zip(value, scores, strict=True))
        others = ", ".join(f"{label} {100 * score:.1f} %" for label, score in best[1 : 1 + BESIDE])
        return {"class": best[0][0], "probability": f"{100 * best[0][1]:.1f} %", "then": others}


class BestProbabilities(Feature):
    """The probabilities of the best classes, best first: float32 (B, k)."""

    kind = "scores"
    shape = (None, None)

    def columns(self, name, value, answer):
        if any(feature.kind == "classes" for feature, _ in answer.values()):
            return {}  # shown in the labels' columns
        return super().columns(name, value, answer)


class Probabilities(Label):
    """The probability of every class: float32 (B, K)."""

    kind = "probabilities"
    dtype = "float32"
    shape = (None, None)

    def columns(self, name, value, answer):
        if any(feature.kind == "classes" for feature, _ in answer.values()):
            return {}
        return super().columns(name, value, answer)

    def from_numpy(self, name):
        return [
            f'for {name} in answer["{name}"]:',
            f"    best = {name}.argmax()",
            f'    print(about["classes"][best], {name}[best])',
        ]

    def cells(self, name, value):
        """One column per class, if the classes are known."""
        if not isinstance(value, list) or len(value) != len(self.classes):
            return super().cells(name, value)
        return {f"{name}_{label}": inner for label, inner in zip(self.classes, value, strict=True)}
