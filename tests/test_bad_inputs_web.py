"""Bad questions, reports and requests, sent to a running server: every row of the tables that applies."""

from __future__ import annotations

import pytest
from bad_inputs import query_rows, web_rows
from bad_inputs.checking import Row, check, name_of
from running_service import Service

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("row", query_rows.ROWS, ids=name_of)
def test_a_row_of_queries_and_reports(service: Service, row: Row) -> None:
    check(service, row)


@pytest.mark.parametrize("row", web_rows.ROWS, ids=name_of)
def test_a_row_of_the_web_layer(service: Service, row: Row) -> None:
    check(service, row)
