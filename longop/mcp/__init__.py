"""The Model Context Protocol: operations as tools that agents call, watch and really cancel.

    stdin  ─ stdio ──┐                    ┌─ tools ─── what there is to call
    POST /mcp ─ http ┴─ server ─ message ─┼─ calls ─── a call until its answer, and its cancel
                                          └─ tasks ─── a job as a task, by id

``python -m longop.mcp TARGET`` speaks it over stdio; the HTTP doors answer ``POST /mcp``. The
rules, with the sections of the specification of 2026-07-28 (basic/, server/) and of the
extension ``io.modelcontextprotocol/tasks`` of the same date that they come from:

==========================================================  ==================================
rule                                                        where it stands
==========================================================  ==================================
not JSON: -32700; a batch, or an id that is not a string    Overview, Messages
or an integer: -32600
an unknown method: -32601, over HTTP with 404               Streamable HTTP, Protocol Version
``_meta`` has a version and capabilities, else -32602        Overview, Per-request fields
headers equal the body, else -32020; of ``tasks/...`` the    Streamable HTTP, Server Validation
``Mcp-Name`` may be missing, as some clients do not send it
another version: -32022, with those supported                Versioning, Version Negotiation
``initialize`` begins the older eras: 2025-11-25 and before  Versioning, Backward Compatibility
each result has a ``resultType``, and the server's name      Overview, Result Responses
lists have ``ttlMs`` and ``cacheScope``                      Caching
an unknown tool: -32602; wrong arguments: ``isError``        Tools, Error Handling
``structuredContent`` agrees with the ``outputSchema``       Tools, Output Schema
progress grows, and ends with the call                       Progress, Progress Flow
over stdio ``notifications/cancelled`` cancels, and over     Cancellation, Transport-Specific
HTTP a closed stream; nothing more is sent for that call     Cancellation
a closed stream of an older era does not cancel              2025-11-25, Transports
a task only for a client that declares the extension,        Tasks, Capability Negotiation
else -32021
``tasks/get`` of an unknown or forgotten task: -32602        Tasks, Protocol Errors
a tool that raised: ``completed``, with ``isError``          Tasks, Task Execution Errors
``tasks/cancel``: an empty answer, each time                 Tasks, Task Cancellation
stdout has one message a line, and nothing else              stdio
==========================================================  ==================================

Left out: prompts, resources, sampling, logging, ``subscriptions/listen`` (the tools of a
server never change), and the experimental tasks of 2025-11-25.
"""
