"""Options of the form `K=V`."""

import click


def key_values(items: tuple[str, ...], option: str) -> dict[str, str]:
    """The pairs of an option that is given several times.

    Raises:
        click.BadParameter: An item has no `=`.
    """
    pairs = {}
    for text in items:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"`{text}` is not of the form k=text", param_hint=option)
        pairs[key] = value
    return pairs
