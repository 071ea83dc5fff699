"""The ports that a webhook may call at a public address."""

from typing import Final

_WEB: Final = frozenset({80, 443})
_FIRST_UNPRIVILEGED: Final = 1024
_LAST: Final = 65_535

_OF_OTHER_SERVERS: Final = frozenset(
    {
        # The bad ports of the Fetch standard, from 1024 on.
        *(1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080),
        *range(6665, 6670),
        *(1025, 2525),  # SMTP
        *(1433, 1434, 1521, 3050, 3306, 5432, 5433, 6432, 33060, 50000),  # SQL databases
        *(5984, 7000, 7001, 7199, 9042, 9160, 27017, 27018, 27019, 28015),  # other databases
        *(6379, 6380, 16379, 26379, 11211, 11212),  # Redis and memcached
        *(4369, 5671, 5672, 15671, 15672, 25672),  # RabbitMQ
        *(1883, 8883, 4222, 6222, 9092, 9093, 61613, 61616),  # other brokers
        *(9200, 9300),  # Elasticsearch
        *(2181, 2379, 2380, 8300, 8301, 8302, 8500),  # ZooKeeper, etcd, Consul
        *(2375, 2376, 2377, 6443, 10250, 10255, 10256, 10257, 10259),  # Docker and Kubernetes
        *range(5900, 5910),  # VNC
        *range(6000, 6064),  # X11
        *(3389, 5985, 5986, 9418),  # remote desktops, WinRM, git
    }
)

ALLOWED_PORTS: Final = (
    "80, 443, and from 1024 to 65535 those that no database, broker, mail server or other such server is known by"
)
"""The rule, in words."""


def is_for_webhooks(port: int) -> bool:
    """Tell whether a web server may be expected there, and none of the servers that are easily misled by a request."""
    return port in _WEB or (_FIRST_UNPRIVILEGED <= port <= _LAST and port not in _OF_OTHER_SERVERS)
