"""What ends a call early."""

from __future__ import annotations


class ApiError(Exception):
    """A reply that is not 200; `body` None sends none."""

    def __init__(self, status: int, body: dict[str, object] | None = None, *, location: str = "") -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body, self.location = status, body, location


class UserRefusal(Exception):
    """PHP's UserException: 500 with the message shown to the user (sheet 1)."""

    def __init__(self, message: str, title: str = "General access") -> None:
        super().__init__(message)
        self.message, self.title = message, title


def php_error() -> ApiError:
    """Something the PHP code did not expect."""
    return ApiError(500, {"errorMessage": "Unexpected error, check log for details"})


def not_found() -> ApiError:
    """No such endpoint, 24.7 and later."""
    return ApiError(404, {"errorMessage": "Endpoint not found"})
