"""The list of jobs, page by page: ``GET /v1/jobs?limit=&before=&state=&operation=``."""

from __future__ import annotations

import re
from typing import Any, Sequence
from urllib.parse import parse_qsl, urlencode

from ..errors import BadParameters, ForgottenJob, UnknownJob
from ..history import Listed
from ..operation import LongOperation, list_jobs
from ..status import State
from .request import Request
from .wire import Response, json_response

_LIMIT = 100  # jobs of a page, unless the request says how many
_MAX_LIMIT = 1_000
_PAGE_NAMES = ("limit", "before", "state", "operation")


def answer(operations: Sequence[LongOperation], request: Request) -> Response:
    """Answer a page of jobs, newest first, without their results, which may be large."""
    asked = _Page(request.query)
    chosen = asked.choose(operations)
    try:
        found = list_jobs(chosen, asked.limit + 1, asked.state, asked.before)
    except (UnknownJob, ForgottenJob) as error:
        raise BadParameters({"before": f"must be the id of a job, but {error}"}) from error
    jobs = [_to_json(listed) for listed in found[:asked.limit]]
    headers = {}
    if len(found) > asked.limit:
        headers["Link"] = asked.link(jobs[-1]["id"])
    return json_response({"jobs": jobs}, headers=headers)


class _Page:
    """What a request asks of the list of jobs. Raises `BadParameters`, which names it all."""

    def __init__(self, query: str) -> None:
        self._given = dict(parse_qsl(query, keep_blank_values=True))
        self._wrong: dict[str, str] = {}
        self.limit = self._parse_limit()
        self.state = self._parse_state()
        #: The id of the job that comes just before the page.
        self.before = self._given.get("before")

    def choose(self, operations: Sequence[LongOperation]) -> list[LongOperation]:
        """Return the operations whose jobs are wanted."""
        name = self._given.get("operation")
        if name is not None:
            operations = [operation for operation in operations
                          if name in (operation.name, f"{operation.module}/{operation.name}")]
            if not operations:
                self._wrong["operation"] = "must be the name of an operation, or module/name"
        if self._wrong:
            raise BadParameters(self._wrong)
        return [*operations]

    def link(self, last: str) -> str:
        """Return the ``Link`` (RFC 8288) to the next page, relative to this one.

        :param last: the id of the last job of this page.
        """
        given = {name: value for name, value in self._given.items() if name in _PAGE_NAMES}
        return f'<?{urlencode({**given, "before": last})}>; rel="next"'

    def _parse_limit(self) -> int:
        text = self._given.get("limit", str(_LIMIT))
        if re.fullmatch("[0-9]{1,4}", text) and 1 <= int(text) <= _MAX_LIMIT:
            return int(text)
        self._wrong["limit"] = f"must be a number from 1 to {_MAX_LIMIT}"
        return _LIMIT

    def _parse_state(self) -> State | None:
        text = self._given.get("state")
        if text is None:
            return None
        try:
            return State(text)
        except ValueError:
            states = ", ".join(state.value for state in State)
            self._wrong["state"] = f"must be one of {states}"
            return None


def _to_json(listed: Listed) -> dict[str, Any]:
    """Return a job of the list as its JSON has it."""
    job = dict(vars(listed.status), parameters=listed.parameters)
    del job["result"]
    return job
