"""What tokens cost, from genai-prices, which knows the providers' price lists offline."""

from collections.abc import Callable

from schemas.record import Usage


def open_prices(provider: str | None, model: str, *, batch: bool = False) -> Callable[[Usage], float | None]:
    """A function from usage to US dollars; it gives None for a model whose price is unknown.

    With `batch` the price is that of a batch; a model whose list has none is counted at its full price.
    """
    import genai_prices

    context = {"processing": "batch"} if batch else None

    def find_cost(usage: Usage) -> float | None:
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

    return find_cost
