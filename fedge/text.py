"""Text from outside, made safe for a log line or a terminal."""


def line(text: str) -> str:
    r"""The text on one line, with nothing left in it that a terminal would act on.

    Every unprintable character becomes its escape, as in a Python literal: line ends (including
    U+0085, U+2028 and U+2029), control codes (C0 and C1), marks that change the direction of
    writing, lone surrogates. Printable characters stay, backslashes included, so escaping a line
    twice changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
