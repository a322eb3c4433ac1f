"""Text from outside, made fit for a line of a log or a terminal."""


def line(text: str) -> str:
    r"""The text on one line, with nothing in it that a terminal would act on.

    Whatever is not printable becomes its escape, as Python writes it in a literal: line ends
    (also U+0085, U+2028 and U+2029), escape codes (C0 and C1), marks that turn the direction of
    writing, halves of surrogates. What is printable stays, backslashes too, so a line that was
    made fit stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
