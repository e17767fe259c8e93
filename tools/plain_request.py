"""What nginx looks for in a request before Triton may read it.

Triton's HTTP port cannot be shown everything. Seen with 2.51: {"shape": [1000000000000, 6], "data": [1]} makes it
allocate what the shape says, a hundred thousand opening brackets make it recurse until its stack is used up, and
either ends the server, every tenant's. So nginx lets only requests through whose beginning is a JSON object with few
levels, and no large shape where the numbers are in the JSON itself. The others are asked of the sidecar, which reads
them whole, and may turn out to be quite right.

A pattern cannot count, so neighbouring bounds are digits. It does not prove JSON: Triton refuses what is none. It is
written for PCRE, matches bytes from the start of the body, and never tries two ways for the same bracket.
"""

_BARE = r"[^][{}\x22\x5c]"
# Without a backslash, nothing spells a name in another way.
_TEXT = r"\x22[^\x22\x5c]*+\x22"
_FLAT = rf"(?:{_BARE}++|{_TEXT})*+"
_OBJECT = rf"\{{{_FLAT}\}}"
_ROWS = rf"\[(?:{_BARE}++|{_TEXT}|\[{_FLAT}\])*+\]"
# At most six digits: less than a million numbers, or 4 MB.
_SMALL_SHAPE = r"\[\s*+(?:\d{1,4}\s*+,\s*+\d\d?|\d{1,3}\s*+,\s*+\d{1,3}|\d\d?\s*+,\s*+\d{1,4})\s*+\]"
_SHAPE = rf"\x22shape\x22\s*+:\s*+{_SMALL_SHAPE}"
_JSON_TENSOR = rf"\{{(?:{_BARE}++|{_SHAPE}|(?!\x22shape\x22){_TEXT}|{_ROWS}|{_OBJECT})*+\}}"
# Its numbers follow the JSON, and Triton compares how many there are.
_BINARY_TENSOR = rf"\{{(?:{_BARE}++|(?!\x22data\x22){_TEXT}|{_ROWS}|{_OBJECT})*+\}}"
_TENSORS = rf"\[(?:[\s,]++|{_BINARY_TENSOR}|{_JSON_TENSOR})*+\]"

PLAIN_REQUEST = rf"^\s*+\{{(?:{_BARE}++|{_TEXT}|{_TENSORS}|{_OBJECT})*+\}}"
"""Matches a body that Triton can be shown. Use it on bytes, or in nginx without quotes inside."""

CHECKED_HEADER = "Orchard-Checked"
"""`yes` on a request that may be shown to Triton, which refuses all others with 403: see launch.sh."""
