"""Rows of invoices as JSON text, valid or not; most variants have no Python value.

Encode them with ``errors="surrogateescape"``: U+DCFF is the byte FF, which is not UTF-8.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from aiwyn_async._http.messages import encode_json


def words(text: str) -> st.SearchStrategy[str]:
    """Draw one of the words of a text."""
    return st.sampled_from(text.split())


spellings = st.sampled_from(
    [
        *[lambda name: name] * 12,
        lambda name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name),
        lambda name: "".join(f"-{c.lower()}" if c.isupper() else c for c in name),
        str.upper,
        str.lower,
        lambda name: name[0].upper() + name[1:],
        lambda name: f"\\u{ord(name[0]):04x}{name[1:]}",
        lambda name: f"{name[:-1]}\\u{ord(name[-1]):04x}",
        lambda name: f"{name} ",
        lambda name: f"_{name}",
        lambda name: f"\ufeff{name}",
        lambda name: f"{name}\\u0000",
        lambda name: f"{name}\\ud83d",
        lambda name: f"{name}\udcff",
        lambda name: name.replace("i", "\u0130").replace("s", "\u017f"),
    ]
)

numbers = st.one_of(
    st.sampled_from(
        [
            "0",
            "-0",
            "0.0",
            "5",
            "12.50",
            "1e3",
            "1E-2",
            "1.5e+2",
            "1e-9",
            "1e-10",
            "0e30",
            "0e-30",
            "1e28",
            "1e29",
            "1e400",
            "1e999999",
            "1e-999999",
            "7.0",
            "1e0",
            "1e-48",
            "99999999999999999999999999999.999999999",
            "0.30000000000000004",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "123.1234567",
        ]
    ),
    words(
        """-0.0 -0e0 1E5 1e+5 10e-1 1e18 1e19 9007199254740993 9007199254740993.0 18446744073709551616
        1e-400 1e1000 9223372036854775807.0 9223372036854775807.5 0e999999 -0e-5 0.0000000001
        100000000000000000000000000000.0 01 +1 .5 5. 1e 1.e5 0x1 1_0 00 -01 -"""
    ),
    st.integers(-(10**12), 10**12).map(str),
    st.decimals(-(10**9), 10**9, places=2).map("{:f}".format),
    st.builds(
        "{}{}{}e{}".format, st.sampled_from(["", "-"]), st.integers(0, 9), st.just(".5"), st.integers(-70, 70)
    ),
    st.builds(
        lambda digits, point: "7" * digits + point,
        st.integers(1, 40),
        st.sampled_from(["", ".5", ".1234567890"]),
    ),
    st.integers(990, 1010).map(lambda digits: "1" * digits),
    st.integers(990, 1010).map(lambda digits: "0." + "0" * digits + "1"),
)

quoted_numbers = numbers.map('"{}"'.format) | st.sampled_from(
    [
        r"5",
        r" 5 ",
        r"+5",
        r".5",
        r"5.",
        r"1e5",
        r"NaN",
        r"nan",
        r"Infinity",
        r"-inf",
        r"sNaN12",
        r"1_000.5",
        r"\u0665",
        r"1,5",
        r"0x10",
        r"",
        r"  ",
        r"5\n",
        r"\u0035",
        r"1e999999",
        r"00123",
        r"-0",
        r"\uff15",
        r"\u00a05",
        r"\u22125",
        r"5\u0000",
        r"5\ud83d",
        r"1 000",
    ]
).map(lambda text: f'"{text}"')

timestamps = st.one_of(
    st.sampled_from(
        """2024-05-01|2024-05-01T10:11:12|2024-05-01T10:11:12Z|2024-05-01T10:11:12.5Z|20240501|20240501T101112Z
        |2024-05-01T23:59:59.9999999Z|2024-05-01T23:59:59.123456789|2024-05-01T23:59:59.1234565+02:00||soon
        |2024-05-01 10:11:12|2024-05-01t10:11:12z|2024-05-01T10|2024-05-01T10:11|2024-05-01T10:11:12+0530
        |2024-05-01T10:11:12+05|2024-05-01T10:11:12 +05:30|2024-05-01T10:11:12,5|0000-01-01|0001-01-01
        |0001-01-01T00:00:00+05:00|9999-12-31T23:59:59-05:00|9999-12-31T23:59:59.9999999|2024-02-30|0000-00-00
        |2024-05-01T24:00:00|2024-05-01T23:59:60Z|2024-W05-1|2024-05-01T10:11:12-00:00|2024-05-01x10:11:12
        |2024-05-01T10:11:12+23:59|2024-05-01T10:11:12+24:00|2024-05-01T10:11:12+05:30:15|2024-05-01T10:11:12.
        | 2024-05-01 |1900-01-01T00:00:00.000001Z""".replace("\n        ", "").split("|")
    ),
    st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat),
    st.builds(
        "{}{}{}{}{}".format,
        words(
            """2024-05-01 20240501 2024-W05-1 2024W051 2020-W53-7 2024-121 0001-01-01 9999-12-31 0000-01-01
        2023-02-29 2024-5-1 +2024-05-01 10000-01-01 2024-05 2024 9999-W52-7 0001-W01-1"""
        ),
        st.sampled_from(["T", "T", "t", " ", "", "_", "\\u0054", "\\t"]),
        words("""10:11:12 10:11 10 101112 24:00:00 23:59:60 23:59:59 00:00:00 10:1112 10:11:1\u0662"""),
        st.sampled_from(["", "", ".5", ",5", ".999999", ".9999995", ".123456789012", ".", ".\u0665"]),
        st.sampled_from(
            [
                "",
                "Z",
                "z",
                "+00",
                "-00:00",
                "+0530",
                "-05:30",
                " Z",
                "+05:30:15",
                "+24:00",
                "-23:59",
                "UTC",
                "+00:60",
                "+99:99",
                "\\u002b05",
            ]
        ),
    ),
).map(lambda text: f'"{text}"')

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(
        lambda text: encode_json(text).decode()
    ),
    st.sampled_from(
        [
            r"a\ud83d",
            r"\udc00",
            r"\ud83d\ude00",
            r"\\ud83d",
            r"\x",
            r"\u12",
            r"a\u0000b",
            r"a\"},{\"b",
            r"=1+1",
            r"a,b",
            r"\r",
            r"a\r\nb",
            r"2024-05-01T10:11:12.1234567Z",
        ]
    ).map(lambda text: f'"{text}"'),
    st.sampled_from(['"a\tb"', "1.50", "7", "1e5", "-0", "-0.0", "12345678901234567890123", "1.", "01"]),
    st.sampled_from(["\udcff", "\udced\udca0\udc80", "\udcc0\udc80", "\ufeff", "\x7f", "\u2028", "\x00"]).map(
        '"{}"'.format
    ),
    st.integers(0, 20).map(lambda length: f'"{"x" * (length if length < 19 else 7000 * length)}"'),
)

ids = st.one_of(
    st.integers(1, 50).map(str),
    st.sampled_from(
        [
            '"00123"',
            '"123"',
            '"C-100"',
            '"7f0c489e-4123"',
            "7.0",
            '""',
            "1.5",
            "true",
            "9223372036854775808",
            "1e0",
            "1E5",
            "-1",
            "0",
            '" 1"',
            '"\\u0000"',
            '"\udcff"',
            "9223372036854775807",
            "null",
            '{"id":1}',
            "[]",
            "-0.0",
            "1E400",
            "18446744073709551616",
            '" "',
            r'"\ud83d"',
        ]
    ),
)

mismatched = st.sampled_from(
    [
        "null",
        "true",
        "false",
        "[]",
        "{}",
        "NaN",
        "[1]",
        '{"a":1}',
        '"x"',
        "1",
        "Infinity",
        "[null]",
        "[[]]",
        "[[{}]]",
        "[{},null]",
        '{"0":{"id":1}}',
        '"null"',
        "nul",
        "[1,]",
        '{"a":}',
        "",
        "1 1",
        "True",
    ]
)

deep = st.builds(
    lambda depth, pair: pair[0] * depth + "1" + pair[1] * depth,
    st.sampled_from([5, 500, 1100, 3000]),
    st.sampled_from([("[", "]"), ('{"a":', "}")]),
)

kinds: dict[str, st.SearchStrategy[str]] = {
    "id": ids,
    "invoiceNumber": texts,
    "description": texts,
    "status": texts,
    "clientId": ids,
    "issueDate": timestamps,
    "dueDate": timestamps,
    "subtotal": numbers | quoted_numbers,
    "totalAmount": numbers | quoted_numbers,
    "notes": texts,
    "updatedAt": timestamps,
}

line_kinds = {"id": ids, "description": texts, "amount": numbers | quoted_numbers, "taxRate": numbers}

payment_kinds = {"id": ids, "amount": numbers, "paymentDate": timestamps}


@st.composite
def objects(draw: st.DrawFn, of: dict[str, st.SearchStrategy[str]], *, is_row: bool) -> str:
    names = draw(st.lists(st.sampled_from(sorted(of)), unique=draw(st.integers(0, 3)) > 0, max_size=5))
    if is_row and draw(st.integers(0, 15)):
        names = ["id", *(name for name in names if name != "id")]
    pairs = [(draw(spellings)(name), draw(st.integers(0, 9)), name) for name in names]
    members = [(key, draw(mismatched) if mismatch == 0 else draw(of[name])) for key, mismatch, name in pairs]
    if is_row and not draw(st.integers(0, 2)):
        members.append((draw(spellings)("lineItems"), draw(lists(line_kinds))))
    if is_row and not draw(st.integers(0, 3)):
        members.append((draw(spellings)("payments"), draw(lists(payment_kinds))))
    if not draw(st.integers(0, 4)):
        members.append(
            (
                draw(st.sampled_from(["extra", "note", "x_1", "", "a.b", "ID", "i_d"])),
                draw(texts | numbers | mismatched | deep),
            )
        )
    space = draw(st.sampled_from(["", "", " ", "\n ", "\t", "\r\n"]))
    return "{" + ",".join(f'{space}"{key}"{space}:{space}{token}' for key, token in members) + "}"


def lists(of: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    items = st.one_of(*[objects(of, is_row=False)] * 4, mismatched)
    return st.lists(items, max_size=2).map(lambda each: f"[{','.join(each)}]")


not_rows = st.sampled_from(
    ["null", "1", '"x"', "[]", "{}", '[{"id":1}]', '{"id":null}', '{"id":1,"id":2}', "NaN", ""]
)

plain_rows = st.builds(
    '{{"id":{},"invoiceNumber":"A{}","totalAmount":{}.25}}'.format, *[st.integers(1, 99)] * 3
)

rows = st.one_of(*[objects(kinds, is_row=True)] * 6, *[plain_rows] * 3, not_rows)

pages = st.lists(rows, min_size=1, max_size=4)
