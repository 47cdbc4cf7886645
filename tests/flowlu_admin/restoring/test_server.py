"""Addresses of the drill's server: libpq and Django read one database out of them, and nothing repeats them."""

import dj_database_url
import pytest
from django.db.backends.postgresql.base import DatabaseWrapper

from flowlu_admin.restoring.server import NoAddress, address_of, parameters, parameters_of

PASSWORD = "Pa55word-Secret-1"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"postgres//u:{PASSWORD}@h/db", "must begin with postgres://"),
        (f"host=h dbname=db password={PASSWORD}", "must begin with postgres://"),
        (f"mysql://u:{PASSWORD}@h/db", "must begin with postgres://"),
        (f"postgres://u:{PASSWORD}%zz@h/db", "cannot be read"),
        (f"postgres://u:{PASSWORD} and more@h/db", "cannot be read"),
        (f"postgres://u:{PASSWORD}@[h/db", "cannot be read"),
        (f"postgres://u@h/db?passwort={PASSWORD}", "cannot be read"),
        (f"postgres://u:{PASSWORD}@h:port/db", "must name one server, with a number as its port"),
        (f"postgres://u:{PASSWORD}@one,two/db", "must name one server, with a number as its port"),
        (f"postgres://u:{PASSWORD}@h/db?dbname=live", "must name its database in its path"),
        (f"postgres://u:{PASSWORD}@h/db?sslmode=require&%64bname=live", "must name its database in its path"),
    ],
)
def test_what_is_no_address_is_said_without_a_word_of_it(address: str, said: str) -> None:
    with pytest.raises(NoAddress) as caught:
        parameters(address)

    assert str(caught.value).startswith(said)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ is True or caught.value.__context__ is None


@pytest.mark.parametrize(
    "address",
    [
        "postgres://ana:a%40b%20c%2F007@Db.example.com:5433/postgres?sslmode=require&options=-c%20search_path%3Da",
        "postgresql://[::1]/postgres",
        "postgres://ana@%2Ftmp%2FSockets/postgres",
        "postgres:///postgres",
    ],
)
def test_libpq_and_django_read_one_database_out_of_what_is_written(address: str) -> None:
    read = parameters(address)
    written = address_of("flowlu_drill_1", {**read, "dbname": "live"})

    assert parameters(written) == read | {"dbname": "flowlu_drill_1"}
    defaults = {"TIME_ZONE": None, "OPTIONS": {}}
    given = DatabaseWrapper(defaults | dj_database_url.parse(written)).get_connection_params()
    assert {name: str(given[name]).lower() for name in read} | {"dbname": given["dbname"]} == {
        **{name: value.lower() for name, value in read.items()},
        "dbname": "flowlu_drill_1",
    }


def test_of_the_services_own_address_the_server_is_taken_and_no_database() -> None:
    own = dict(dj_database_url.parse("pgsql://ana:a%20b@h:5433/x?dbname=live&assume_role=other&sslmode=require"))

    assert address_of("postgres", parameters_of(own)) == "postgres://ana:a%20b@h:5433/postgres?sslmode=require"
