"""What the bytecode of a module's body tells: it is there already, where a syntax tree would have to be made."""

from __future__ import annotations

import opcode
import re
from types import CodeType

_STORE_NAME = opcode.opmap["STORE_NAME"]
_STAR = re.compile(rb"\bimport[\s\\]*\*")


def rebinds(code: CodeType, source: bytes) -> bool:
    """May the body of a module bind one of its names twice? Whatever `import *` binds may be one."""
    if _STAR.search(source):
        return True
    seen, argument, bytecode = set(), 0, code.co_code
    for operation, low in zip(bytecode[::2], bytecode[1::2], strict=True):
        argument = argument << 8 | low
        if operation == opcode.EXTENDED_ARG:
            continue
        if operation == _STORE_NAME:
            if argument in seen:
                return True
            seen.add(argument)
        argument = 0
    return False
