#!/usr/bin/env python3
"""Writes unicode_tables.inc: what the tokenizer has to know of Unicode.

    pip install unicodedata2==16.0.0 && python3 data/text/make_unicode_tables.py

Token ids are defined by the program whose ids a model was trained on, so the tables hold the versions
that Hugging Face tokenizers 0.23 has inside, which are two:

  classes         letters, numbers and white space of its regular expressions: Unicode 16.0
  normalisation   combining classes, decompositions and compositions of its NFC: Unicode 9.0

A character never changes its normalisation once it is assigned (Unicode's stability policy), so that of
9.0 is that of 16.0 without the characters that came later: LATER_THAN_9, of those that matter. Both
versions were found by asking the engine about every code point; tests/reference/compare_tokenizer.py
asks again.
"""

import pathlib

import unicodedata2

assert unicodedata2.unidata_version == "16.0.0", unicodedata2.unidata_version

# With a combining class or a canonical decomposition. perl 5.36 gives the same:
#   perl -e 'for (0..0x10ffff) { print "$_\n" unless chr =~ /\p{Present_In=9.0}/ }'
LATER_THAN_9 = """
7FD 897-89F 8CA-8D3 9FE C3C D3B-D3C EBA 1715 1ABF-1ACE 1DF6-1DFA A82C 105C9 105E4 10D24-10D27
10D69-10D6D 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B 11383 11385 1138E 11391 113C5
113C7-113C8 113CE-113D0 1145E 11839-1183A 11938 1193D-1193E 11943 119E0 11A34 11A47 11A99 11D42
11D44-11D45 11D97 11F41-11F42 16121-16128 1612F 16D68-16D6A 16FF0-16FF1 1E08F 1E130-1E136 1E2AE
1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF
"""

CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)  # composed by a formula, in no table
HANGUL_SECONDS = [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]


def later_than_9():
    for piece in LATER_THAN_9.split():
        first, _, last = piece.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


def character_class(c):
    category = unicodedata2.category(chr(c))
    if category[0] in "LN":
        return "letter" if category[0] == "L" else "number"
    space = category[0] == "Z" or 0x09 <= c <= 0x0D or c == 0x85
    return "space" if space else None


def decomposition(c):
    """The canonical one, a step: one or two code points, or none."""
    words = unicodedata2.decomposition(chr(c)).split()
    return [] if not words or words[0].startswith("<") else [int(w, 16) for w in words]


def ranges(values):
    """[(first, last, value)] of a dict {code point: value}, neighbours of one value together."""
    found = []
    for c in sorted(values):
        if found and found[-1][1] == c - 1 and found[-1][2] == values[c]:
            found[-1][1] = c
        else:
            found.append([c, c, values[c]])
    return found


def table(comment, declaration, rows):
    lines, line = [f"// {comment}", f"constexpr {declaration}[] = {{"], "   "
    for row in rows:
        cell = " {" + ", ".join(row) + "},"
        if len(line) + len(cell) > 100:
            lines.append(line)
            line = "   "
        line += cell
    return "\n".join([*lines, line, "};", ""])


def main():
    later = set(later_than_9())
    classes = {c: k for c in CHARACTERS if (k := character_class(c))}
    combining = {
        c: n for c in CHARACTERS if c not in later and (n := unicodedata2.combining(chr(c)))
    }
    decompositions = {c: d for c in CHARACTERS if c not in later and (d := decomposition(c))}
    # A composite that NFC keeps is one that NFC makes.
    pairs = {c for c, d in decompositions.items()
             if len(d) == 2 and unicodedata2.normalize("NFC", chr(c)) == chr(c)}
    changing = dict.fromkeys(combining, True)
    changing |= {c: True for c in decompositions if c not in pairs}
    changing |= {decompositions[c][1]: True for c in pairs}
    changing |= dict.fromkeys(HANGUL_SECONDS, True)
    assert not set(HANGUL) & set(decompositions.keys() - HANGUL)
    assert min(changing) == 0x300

    def code(c):
        return f"0x{c:04X}"

    def of_class(name):
        rows = ranges({c: k for c, k in classes.items() if k == name})
        return [(code(a), code(b)) for a, b, _ in rows]

    text = [
        "// Written by make_unicode_tables.py, which says from what. Included by unicode.cpp alone.\n",
        table("General category L, Unicode 16.0.", "Range kLetters", of_class("letter")),
        table("General category N, Unicode 16.0.", "Range kNumbers", of_class("number")),
        table("White space, Unicode 16.0.", "Range kSpaces", of_class("space")),
        table("What NFC may change or join to the character before it, Unicode 9.0.",
              "Range kChangedByNfc", [(code(a), code(b)) for a, b, _ in ranges(changing)]),
        table("Canonical combining classes other than 0, Unicode 9.0.", "CombiningRange kCombining",
              [(code(a), code(b), str(n)) for a, b, n in ranges(combining)]),
        table("Canonical decompositions, Unicode 9.0: a step; whether NFC composes it again.",
              "Decomposition kDecompositions",
              [(code(c), code(d[0]), code(d[1]) if len(d) == 2 else "0",
                "true" if c in pairs else "false")
               for c, d in sorted(decompositions.items()) if c not in HANGUL]),
    ]
    path = pathlib.Path(__file__).parent / "unicode_tables.inc"
    path.write_text("\n".join(text))


main()
