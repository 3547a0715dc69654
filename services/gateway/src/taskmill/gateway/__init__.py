"""The gateway: Taskmill over HTTP.

Owns: the REST interface, its OpenAPI document, and how every error is told over HTTP. It has no state and decides
nothing about tasks.
Consumes: HTTP requests; events `tasks.v1.event.>`, while anybody follows.
Publishes: requests to the task store on `tasks.v1.cmd.*`, whose replies it passes on.
"""
