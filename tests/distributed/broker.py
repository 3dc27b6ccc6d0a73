"""Does to the fleet's part of the broker what somebody who is careless does."""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
prefix = os.environ["PREFIX"]
match sys.argv[1:]:
    case ["delete", queue]:
        channel.queue_delete(f"{prefix}.{queue}")
    case ["declare-classic", queue]:
        channel.queue_declare(f"{prefix}.{queue}", durable=True, arguments={"x-queue-type": "classic"})
        channel.basic_publish("", f"{prefix}.{queue}", b"kept")
    case ["subscribe-full", queue]:
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(f"{prefix}.{queue}", durable=True, arguments=full)
        channel.basic_publish("", f"{prefix}.{queue}", b"the last that it takes")
        channel.queue_bind(f"{prefix}.{queue}", f"{prefix}.events", "#")
    case ["unbind", queue, exchange, key]:
        channel.queue_unbind(f"{prefix}.{queue}", f"{prefix}.{exchange}", key)
    case words:
        sys.exit(f"what is {words}?")
connection.close()
