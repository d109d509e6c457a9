"""Webhooks: events of the log sent to those who cannot hold a socket, signed, in order, each at least once.

What is sent and how it is signed follows Standard Webhooks 1.0.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""
