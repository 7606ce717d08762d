"""The plugin's error codes, as mypy prints them and as `# type: ignore[…]`, `enable_error_code` and `disable_error_code` take them.

Whether they are on of themselves is said again by `_settings`, for each run of mypy.
"""

from __future__ import annotations

from typing import Final

from mypy.errorcodes import MISC, ErrorCode

CATEGORY: Final = "runstate"

ANY: Final = ErrorCode("runstate-any", "Reject Any as an argument of runstate's public API", CATEGORY)
TRANSITION: Final = ErrorCode(
    "runstate-transition",
    "Reject moves that runstate's transition table does not allow",
    CATEGORY,
    sub_code_of=MISC,  # mypy's own code for the same mistake: ignores that were written without the plugin go on working
)
UNFINISHED: Final = ErrorCode(
    "runstate-unfinished", "Warn about an execution that a function creates and then forgets", CATEGORY
)
IGNORED: Final = ErrorCode(
    "runstate-ignored",
    "Warn about the ignored result of a call to a legacy tracker that can refuse",
    CATEGORY,
    default_enabled=False,
)
ALL: Final = (ANY, TRANSITION, UNFINISHED, IGNORED)
