"""The page of a report, whose pictures are also files of their own."""

from keras_dl.pages import Page


class ReportPage(Page):
    """A Page that remembers its pictures by name.

    Attributes:
        files: {file name: bytes of a PNG}, in the order of the page.
    """

    def __init__(self, title):
        super().__init__(title)
        self.files = {}

    def picture(self, png, caption, name):
        """A picture; `name` is that of its file, without the suffix."""
        super().picture(png, caption)
        self.files[f"{name}.png"] = png

    def gallery(self, pictures, name):
        """Small pictures beside each other, a list of (caption, png); files are <name>_1.png and so on."""
        super().gallery(pictures)
        self.files |= {f"{name}_{number}.png": png for number, (_, png) in enumerate(pictures, 1)}
