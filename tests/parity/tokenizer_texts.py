"""Texts that try a tokenizer: many scripts, white space, code, digits, emoji, combining marks, added tokens."""

import random

SCRIPTS = [
    (0x0041, 0x005A), (0x0061, 0x007A), (0x00C0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x04FF),
    (0x0531, 0x0556), (0x05D0, 0x05EA), (0x0620, 0x064A), (0x0900, 0x097F), (0x0980, 0x09FF),
    (0x0E01, 0x0E5B), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1780, 0x17DD), (0x1E00, 0x1EFF),
    (0x3041, 0x309F), (0x30A0, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x10330, 0x1034A),
    (0x1D400, 0x1D7FF), (0x20000, 0x20100),
]
MARKS = [0x0300, 0x0301, 0x0308, 0x0323, 0x0327, 0x0338, 0x05B4, 0x064B, 0x093C, 0x20D7, 0x3099, 0x1D165]
SPACES = [" ", "  ", "    ", "\t", "\n", "\r\n", "\n\n", " \n", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b", "\u200b"]
DIGITS = "0123456789\u0660\u0967\u00b2\u00bd\u2167\u3007\U0001D7D8"
EMOJI = ["\U0001F600", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\U0001F1E9\U0001F1EA", "\u2764\ufe0f",
         "\U0001F44D\U0001F3FD"]
PUNCTUATION = list(".,;:!?-_()[]{}<>/\\|@#$%^&*+=~`\"'") + ["\u2026", "\u2014", "\u201c", "\u3002", "\u00bf"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'M", "'lL", "'D", "'\u017f",
                "'x", "' s", "''s"]
WORDS = ("the of and a to in is you that it he was for on are as with his they I at be this have from or one had by "
         "word but not what all were we when your can said there use an each which she do how their if will up other "
         "about out many then them these so some her would make like him into time has look two more write go see "
         "number no way could people my than first water been call who oil its now find long down day did get come "
         "internationalisation Donaudampfschiff antidisestablishmentarianism").split()
CODE = ["def f(x):\n    return x[1:-1]\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\r\n", "SELECT * FROM t WHERE a='b';",
        "https://example.org/a/b?c=d&e=%20f#g", "<div class=\"x\">&nbsp;</div>", "{\"key\": [1, 2.5e-3, null]}", "\\frac{a}{b}^2_i",
        "x = {'a': 1,\n     'b': 2}\n\n\n", "#!/bin/sh\necho \"$HOME\"\n", "// comment\n/* another */\n"]


def _character(rng):
    return chr(rng.randint(*rng.choice(SCRIPTS)))


def _foreign_word(rng):
    script = rng.choice(SCRIPTS)
    word = "".join(chr(rng.randint(*script)) for _ in range(rng.randint(1, 8)))
    if rng.random() < 0.3:
        word += "".join(chr(rng.choice(MARKS)) for _ in range(rng.randint(1, 3))) + _character(rng)
    return word


def _piece(rng, specials):
    kind = rng.random()
    if kind < 0.40:
        return rng.choice(WORDS) if rng.random() < 0.8 else rng.choice(WORDS).upper()
    if kind < 0.52:
        return _foreign_word(rng)
    if kind < 0.60:
        return "".join(rng.choice(DIGITS[:10] if rng.random() < 0.8 else DIGITS) for _ in range(rng.randint(1, 9)))
    if kind < 0.68:
        return rng.choice(PUNCTUATION) * rng.choice([1, 1, 2, 5])
    if kind < 0.74:
        return rng.choice(WORDS) + rng.choice(CONTRACTIONS)
    if kind < 0.79:
        return rng.choice(EMOJI)
    if kind < 0.83:
        return rng.choice(CODE)
    if kind < 0.88:
        return rng.choice(specials)
    if kind < 0.93:
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 6)))
    if kind < 0.96:
        return chr(rng.choice(MARKS)) + _character(rng)
    return "".join(rng.choice([_character(rng), rng.choice(SPACES), rng.choice(PUNCTUATION)])
                   for _ in range(rng.randint(1, 12)))


def lines(count, specials, seed, pieces=14):
    """Random mixtures of everything, at most so many pieces a line; the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        separator = rng.choice([" ", " ", " ", "", "\n", "  "])
        yield separator.join(_piece(rng, specials) for _ in range(rng.randint(1, pieces)))


def every_code_point():
    """Every code point of the planes that have characters, beside letters, digits, spaces and apostrophes."""
    points = [c for c in range(0x40000) if not 0xD800 <= c < 0xE000] + list(range(0xE0000, 0xE1000))
    for i in range(0, len(points), 64):
        yield "".join(f"a{chr(c)}b {chr(c)}1{chr(c)} '{chr(c)}\n{chr(c)}" for c in points[i:i + 64])


def special_texts():
    """Shapes that broke tokenizers before."""
    yield ""
    yield " "
    yield "\n"
    yield "a" * 5000
    yield "ab" * 3000 + "\u00e9" * 1000
    yield " " * 3000 + "x"
    yield "\n" * 2000 + " " * 10
    yield "1" * 3000
    yield "!?" * 2000
    yield "e" + "\u0301" * 50
    yield "\ufeffbom"
