"""The GPU machine on demand: a user starts it, and it stops by itself.

AWS calls ``handlers``. ``lifecycle`` makes every decision. Each outside party has one thin adapter:

- ``machine``: EC2
- ``auto_stop``: EventBridge Scheduler
- ``heartbeat`` and ``cost``: CloudWatch
- ``boot_report``: Parameter Store
- ``media_server``: HTTPS

``entry`` wires them from the environment. The package needs boto3 and PyJWT, and nothing of the project.
"""
