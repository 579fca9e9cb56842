"""What tokens cost, from genai-prices, which knows the providers' price lists offline."""

import math
from collections.abc import Callable

from schemas.record import Usage

KINDS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")


def open_prices(provider: str | None, model: str, *, batch: bool = False) -> Callable[[Usage], float | None]:
    """A function from usage to US dollars; it gives None for a model whose price is unknown.

    With `batch` the price is that of a batch; a model whose list has none is counted at its full price.
    Where no price depends on the size of a request, the four prices are looked up once, since a
    look-up takes longer than all the rest of an answer's bookkeeping.
    """
    import genai_prices

    context = {"processing": "batch"} if batch else None

    def look_up(usage: Usage) -> float | None:
        tokens = genai_prices.Usage(
            input_tokens=usage.whole_input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
        )
        try:
            price = genai_prices.calc_price(tokens, model_ref=model, provider_id=provider, price_context=context)
            return float(price.total_price)
        except LookupError:
            return None

    def find_cost(usage: Usage) -> float | None:
        return float(sum(getattr(usage, kind) * price for kind, price in each.items()))

    each = _find_flat_prices(look_up)
    return find_cost if each else look_up


def _find_flat_prices(look_up: Callable[[Usage], float | None]) -> dict[str, float]:
    """US dollars for a token of each kind; nothing where they are unknown or change with the number of tokens."""
    each = {}
    for kind in KINDS:
        few, many = (look_up(Usage.model_validate({"requests": 1, kind: count})) for count in (1_000, 1_000_000))
        if few is None or many is None or not math.isclose(few * 1_000, many):
            return {}
        each[kind] = many / 1_000_000
    return each
