"""An error as an answer: problem details, RFC 9457."""

from __future__ import annotations

from http import HTTPStatus

from ..errors import BadParameters, Busy, LongOperationError
from .wire import Response, json_response


def problem(error: LongOperationError) -> Response:
    """Answer with an error. Its ``type`` is where ``/openapi.json`` describes its kind.

    Beside the members of the RFC there are ``errors``, by parameter, of `BadParameters`, and
    ``job_id`` of `Busy`.
    """
    fields = {
        "type": f"/openapi.json#/components/responses/{type(error).__name__}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": str(error),
    }
    if isinstance(error, BadParameters):
        fields["errors"] = error.errors
    if isinstance(error, Busy):
        fields["job_id"] = error.job_id or None
    return json_response(fields, error.status, content_type="application/problem+json",
                         headers=error.headers)
