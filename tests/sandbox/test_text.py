"""Case, order and operands are those of Postgres."""

from decimal import Decimal
from typing import Any

import pytest

from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sandbox._data.characters import fold
from aiwyn_async.sandbox._data.collation import sort_key
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.mutations import update_row
from aiwyn_async.sandbox._data.order_by import compile_order
from aiwyn_async.sandbox._data.values import decimal_bounds, instant_us, whole_number
from aiwyn_async.sandbox._declarations.declarations import DateForm
from aiwyn_async.sandbox._declarations.schema import CLIENTS, INVOICES


def test_en_us_sorts_letters_before_accents_before_case_before_punctuation() -> None:
    expected = ["", "-", "1", "10", "9", "a b", "ab", "aB", "Acme Foods", "Acme & Sons"]
    assert sorted(set(expected), key=sort_key) == expected
    for smaller, larger in (
        ("ab", "a-c"),
        ("a b", "ab"),
        ("cote", "cot\u00e9"),
        ("cot\u00e9", "c\u00f4te"),
        ("Resume", "r\u00e9sum\u00e9"),
        ("Okafor", "O'Neil"),
        ("stra\u00dfe", "strasses"),
        ("\u00f8", "oa"),
        ("$1", "1"),
    ):
        assert sort_key(smaller) < sort_key(larger), (smaller, larger)


def test_fold_maps_each_character_separately() -> None:
    assert fold("\u0130\u03a3\u1e9e\u212aA") == "i\u03c3\u00dfka"
    assert fold("\u017f") == "\u017f"


@pytest.fixture
def store() -> Any:
    made = Database(invoices=30, seed=7)
    made.open()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("value", "pattern", "matches"),
    [
        ("\u0130stanbul", "istanbul", True),
        ("\u03a3\u03a3", "\u03c3\u03c3", True),
        ("\u03c2", "\u03a3", False),
        ("\u017f", "S", False),
        ("\u1e9e", "\u00df", True),
        ("\u1e9e", "ss", False),
        ("100% ORGANIC", "100\\% organic", True),
        ("a\nb", "A%B", True),
    ],
)
def test_ilike_folds_as_lower_does(store: Database, value: str, pattern: str, *, matches: bool) -> None:
    row_id = store.ids(INVOICES)[0]
    update_row(store, INVOICES, row_id, {"notes": value})
    tree = {"id": {"_eq": row_id}, "notes": {"_ilike": pattern}}
    assert store.select(INVOICES, tree, ()).count == matches


def test_like_with_many_wildcards_is_fast(store: Database) -> None:
    update_row(store, INVOICES, store.ids(INVOICES)[0], {"notes": "a" * 5_000})
    assert store.select(INVOICES, {"notes": {"_like": "%a" * 100 + "%b"}}, ()).count == 0


def test_collation_sorts_and_compares_texts() -> None:
    names = ["ab", "a-c", "B", "a b"]
    for collation, expected in (("C", ["B", "a b", "a-c", "ab"]), ("en_US", ["a b", "ab", "a-c", "B"])):
        made = Database(invoices=30, seed=7, sizes={"clients": 4}, collation=collation)  # type: ignore[arg-type]
        made.open()
        for row_id, name in zip(list(made.ids(CLIENTS)), names, strict=True):
            update_row(made, CLIENTS, row_id, {"name": name})
        order = compile_order(CLIENTS, [{"name": "asc"}], made.collation)
        ids = made.select(CLIENTS, {}, order).page(0, 9)
        assert [names[list(made.ids(CLIENTS)).index(row_id)] for row_id in ids] == expected
        above = made.select(CLIENTS, {"name": {"_gt": "ab"}}, ())
        assert above.count == len(expected) - 1 - expected.index("ab")
        made.close()


def test_collation_must_be_known() -> None:
    with pytest.raises(ValueError, match="C, en_US"):
        Sandbox(collation="de_DE")  # type: ignore[arg-type]


async def test_list_sorts_by_the_collation(http: Any) -> None:
    async with Sandbox(invoices=3000, seed=7, collation="en_US") as box:
        for body in ({"pageSize": 100}, {"pageSize": 100, "orderBy": [{"name": "asc"}]}):
            path = "/gql/v1/clients/search" if "orderBy" in body else "/gql/v1/clients"
            headers = {"Authorization": f"Bearer {box.token}"}
            async with http.post(f"{box.url}{path}", json=body, headers=headers) as response:
                names = [row["name"] for row in (await response.json())["clients"]]
            assert names == sorted(names, key=sort_key) != sorted(names)


HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "form", "hours"),
    [
        ("2024-01-05T10:00:00+02:00", DateForm.ZULU, 8),
        ("2024-01-05T10:00:00+02:00", DateForm.NAIVE, 10),
        ("2024-01-05T10:00:00+02:00", DateForm.DATE, 0),
        ("2024-01-05T10:00:00Z", DateForm.NAIVE, 10),
        ("2024-1-5 10:00", DateForm.ZULU, 10),
        ("20240105T100000Z", DateForm.ZULU, 10),
        ("2024-01-05T24:00:00Z", DateForm.ZULU, 24),
        ("2024-01-05T09:59:60Z", DateForm.ZULU, 10),
        ("2024-01-05T09:59:59.9999999Z", DateForm.ZULU, 10),
        ("2024-01-05T10:00:00-0530", DateForm.ZULU, 15.5),
        ("20240105T100000-0530", DateForm.ZULU, 15.5),
        ("20240105T100000.0-05:30", DateForm.ZULU, 15.5),
        ("2024-01-05 -05:30", DateForm.ZULU, 5.5),
        ("2024-01-05+05:30", DateForm.ZULU, -5.5),
        ("2024-01-05T10:00:00 utc AD", DateForm.ZULU, 10),
    ],
)
def test_instant_is_parsed_as_in_postgres(text: str, form: DateForm, hours: float) -> None:
    midnight = instant_us("2024-01-05", "x")
    assert instant_us(text, "x", form) - midnight == hours * HOUR


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2024-01-05T24:00:01Z",
        "2024-W01-1",
        "2024-01-05T10",
        "2024-01-05T10:00:00+16:00",
        "2024-01-05-05:30",
        "20240105-0530",
        "20240105T100000-05:30",
        "20240105T100000.Z",
        "0000-01-01",
        "2024-01-05 10:00 ZBC",
        "4714-11-23 BC",
        "x",
    ],
)
def test_instant_is_rejected_as_in_postgres(text: str) -> None:
    with pytest.raises(BadRequestError, match="startDate"):
        instant_us(text, "startDate")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12024-01-05", 317_273_932_800),
        ("0044-03-15 BC", -63_517_824_000),
        ("4714-11-24 BC", -210_866_803_200),
    ],
)
def test_instant_may_be_beyond_the_years_of_python(text: str, seconds: int) -> None:
    assert instant_us(text, "x") == seconds * 1_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), (Decimal("5.0"), 5), (5.0, 5), (Decimal("5.5"), None), (True, None), ("5", None)],
)
def test_whole_number_accepts_a_zero_fraction(value: object, expected: int | None) -> None:
    assert whole_number(value) == expected
    assert whole_number(Decimal("1e999999")) == 2**62


@pytest.mark.parametrize("text", ["1_000", "\u0661", "1e", "0x1", "", "Infinity"])
def test_decimal_rejects_what_postgres_rejects(text: str) -> None:
    with pytest.raises(BadRequestError):
        decimal_bounds(text, "totalAmount", 2)


async def test_numbers_in_where_are_exact(box: Sandbox, post: Any, http: Any) -> None:
    """A float of the operand would be rounded to the amount itself."""
    row_id = box.query("SELECT id FROM invoices LIMIT 1")[0][0]
    box.update("invoices", int(str(row_id)), {"totalAmount": "90071992547409.93"})
    headers = {"Authorization": f"Bearer {box.token}"}
    for operand, count in (
        ("90071992547409.93", 1),
        ("90071992547409.930000001", 0),
        ("9007199254740993e-2", 1),
    ):
        body = f'{{"pageSize": 5, "where": {{"totalAmount": {{"_eq": {operand}}}}}}}'
        async with http.post(f"{box.url}/gql/v1/invoices/search", data=body, headers=headers) as response:
            assert (await response.json())["deid_invoice_aggregate"]["aggregate"]["count"] == count
    assert (await post("/gql/v1/invoices", {"page": 1.0, "pageSize": 5.0}))[0] == 200
    status, response = await post("/gql/v1/invoices", {"page": 1.5})
    assert (status, response["errors"][0]["message"]) == (400, "page: expected an integer")


async def test_bad_regex_returns_the_error_of_hasura(post: Any) -> None:
    status, response = await post("/gql/v1/invoices/search", {"where": {"notes": {"_regex": "a++"}}})
    assert status == 400
    assert response["errors"] == [
        {
            "message": "invalid regular expression: quantifier operand invalid",
            "extensions": {"code": "data-exception"},
        }
    ]


async def test_slow_regex_is_rejected(box: Sandbox, post: Any) -> None:
    (row_id, *_) = box.insert("invoices", {"notes": "a" * 3_000})
    where = {"id": {"_eq": row_id}, "notes": {"_regex": "(?=(a+)+$)b"}}
    status, response = await post("/gql/v1/invoices/search", {"where": where})
    assert (status, response["errors"][0]["message"]) == (400, "regular expression is too complex")
