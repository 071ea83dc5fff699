from decimal import Decimal

from shared.domain.usage import Price, Usage


def test_a_cost_is_exact() -> None:
    price = Price(Decimal("0.00000015"), Decimal("0.0000006"))
    assert price.cost(Usage(input_tokens=7, output_tokens=3)) == Decimal("0.00000285")


def test_cached_input_has_its_own_price_where_there_is_one() -> None:
    usage = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=40)
    assert Price(Decimal(2), Decimal(0), Decimal(1)).cost(usage) == Decimal(160)
    assert Price(Decimal(2), Decimal(0)).cost(usage) == Decimal(200)
