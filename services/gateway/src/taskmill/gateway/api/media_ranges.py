"""What a client accepts (RFC 9110 §12.5.1)."""

import re

# Commas and semicolons in quotes separate nothing. Possessive, so that no header takes long.
_IN_QUOTES = r'"(?:[^"\\]|\\.?)*+(?:"|$)'
_RANGES = re.compile(rf'(?:[^,"]|{_IN_QUOTES})++', re.DOTALL)
_PARTS = re.compile(rf'(?:[^;"]|{_IN_QUOTES})++', re.DOTALL)
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)
_BAD_WEIGHT = re.compile(r"q\s*=", re.IGNORECASE)


def weights(accept: str) -> dict[str, float]:
    """How much a client wants the media ranges that it names, 0 (not at all) to 1.

    Args:
        accept: The header `Accept`. A range with a weight that is none is passed over. Other parameters are not looked
            at; of a range that is named twice the greatest weight counts.
    """
    found: dict[str, float] = {}
    for media_range in _RANGES.findall(accept):
        name, *parameters = [part.strip() for part in _PARTS.findall(media_range)] or [""]
        weight = 1.0
        for parameter in parameters:
            if given := _WEIGHT.fullmatch(parameter):
                weight = float(given[1])
            elif _BAD_WEIGHT.match(parameter):
                break
        else:
            found[name.lower()] = max(weight, found.get(name.lower(), 0.0))
    return found


def is_preferred(accept: str | None, media_type: str, default: str) -> bool:
    """Whether a client wants a media type rather than the one that it gets by default.

    Args:
        accept: The header `Accept`, if there is one.
        media_type: Must be named as it is: who accepts anything wants the default. It wins if both are wanted alike.
        default: What everybody gets who does not say otherwise.
    """
    if accept is None:
        return False
    found = weights(accept)
    any_of_kind = f"{default.partition('/')[0]}/*"
    of_default = next((found[name] for name in (default, any_of_kind, "*/*") if name in found), 0.0)
    wanted = found.get(media_type, 0.0)
    return wanted > 0 and wanted >= of_default
