"""The GPU machine on demand: started by a press, stopped by itself.

``handlers`` (what AWS calls) → ``lifecycle`` (every decision) → one thin adapter for each outside party:
``machine`` (EC2), ``auto_stop`` (EventBridge Scheduler), ``heartbeat`` (CloudWatch), ``media_server``
(HTTPS). ``entry`` wires them from the environment. Needs boto3 and PyJWT, and nothing of the project.
"""
