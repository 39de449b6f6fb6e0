"""The page of a report, whose pictures are also files of their own, and whose texts TensorBoard can show."""

from keras_dl import markdown, pages


class ReportPage(pages.Page):
    """A Page that remembers its pictures by name, and its texts as Markdown.

    Attributes:
        files: {file name: bytes of a PNG}, in the order of the page.
        captions: {file name: caption} of those that stand alone, not in a gallery.
        blocks: the texts and tables as blocks of Markdown, without folded tables.
    """

    def __init__(self, title):
        self.files, self.captions, self.blocks = {}, {}, []
        super().__init__(title)

    def heading(self, text):
        super().heading(text)
        self.blocks.append(f"## {markdown.escaped(text)}")

    def sub_heading(self, text):
        super().sub_heading(text)
        self.blocks.append(f"### {markdown.escaped(text)}")

    def paragraph(self, text):
        super().paragraph(text)
        self.blocks.append(markdown.escaped(text))

    def warning(self, text):
        super().warning(text)
        self.blocks.append(f"**Warning:** {markdown.escaped(text)}")

    def text(self, text):
        super().text(text)
        self.blocks.append(markdown.escaped(text))

    def table(self, columns, rows, folded=""):
        super().table(columns, rows, folded)
        if not folded:
            self.blocks.append(markdown.table(columns, [[str(pages.shown(value)) for value in row] for row in rows]))

    def picture(self, png, caption, name):
        """A picture; `name` is that of its file, without the suffix."""
        super().picture(png, caption)
        self.files[f"{name}.png"] = png
        self.captions[f"{name}.png"] = caption
        self.blocks.append(markdown.escaped(f"Picture {name}: {caption}"))

    def gallery(self, pictures, name):
        """Small pictures beside each other, a list of (caption, png); files are <name>_1.png and so on."""
        super().gallery(pictures)
        self.blocks.append(markdown.escaped("\n".join(caption for caption, _ in pictures)))
        self.files |= {f"{name}_{number}.png": png for number, (_, png) in enumerate(pictures, 1)}
